"""Try hostile input on every decoder, for as long as you like.

    uv run python scripts/fuzz.py --seconds 600                  # all decoders, each for an equal share of the time
    uv run python scripts/fuzz.py --seconds 60 --decoder manifest --decoder update
    uv run python scripts/fuzz.py --decoder manifest --seed 4711 --inputs 1     # repeats one input

Prints a table: inputs tried, accepted, refused by error type, and the slowest. If an input makes a decoder raise
anything else, the script prints its seed and exits with 1.
"""

from __future__ import annotations

import argparse
import faulthandler
import secrets
import sys
import time
from collections.abc import Sequence

from fuzzing.decoders import DECODERS
from fuzzing.trying import Broke, Tally, try_seed

HANGS = 120
"""Seconds after which a decoder that does not return is ended, with its traceback."""


def main(words: Sequence[str] | None = None) -> int:
    """Fuzz the decoders; returns 1 if one broke, else 0."""
    given = arguments(words)
    seconds = given.seconds / len(given.decoder)
    print(f"seeds from {given.seed} on, {seconds:.0f} s or {given.inputs} inputs for each decoder")
    print(f"{'decoder':20} {'tried':>9} {'accepted':>9} {'slowest':>24}  refused by")
    failures = [failure for name in given.decoder if (failure := fuzz(name, given, seconds))]
    for failure in failures:
        print(failure)
    return 1 if failures else 0


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--decoder", action="append", choices=[*DECODERS], help="default: all")
    parser.add_argument("--seconds", type=float, default=60.0, help="in total; default 60")
    parser.add_argument("--inputs", type=int, default=sys.maxsize, help="at most, for each decoder")
    parser.add_argument(
        "--seed", type=int, help="of the first input; each later input takes the next one"
    )
    given = parser.parse_args(words)
    given.decoder = given.decoder or [*DECODERS]
    given.seed = secrets.randbits(48) if given.seed is None else given.seed
    return given


def fuzz(name: str, given: argparse.Namespace, seconds: float) -> str | None:
    """Try one decoder until the time or the inputs are used up, and print its row. Returns what broke, or None."""
    tally, ends, failure = Tally(), time.monotonic() + seconds, None
    seed = given.seed
    try:
        while seed < given.seed + given.inputs and time.monotonic() < ends:
            faulthandler.dump_traceback_later(HANGS, exit=True, file=sys.__stderr__)
            try_seed(DECODERS[name], seed, tally)
            seed += 1
    except Broke as broken:
        failure = f"{name} broke: {broken}\n  again: --decoder '{name}' --seed {seed} --inputs 1"
    finally:
        faulthandler.cancel_dump_traceback_later()
    slowest = f"{tally.slowest * 1000:.1f} ms, seed {tally.slowest_seed}"
    refused = ", ".join(f"{error} {count}" for error, count in tally.refused.most_common())
    print(f"{name:20} {tally.tried:9} {tally.accepted:9} {slowest:>24}  {refused}", flush=True)
    return failure


if __name__ == "__main__":
    sys.exit(main())
