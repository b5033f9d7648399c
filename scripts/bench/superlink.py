"""Flower's SuperLink and ganchor in the same bad weather: seconds of a round, and bytes of a member.

Three members, a model of 350,000 numbers (1.4 MB), and training that takes no time:

- Flower: a SuperLink, and a SuperNode for each member, whose line leads to it; the app is scripts/bench/resting_app,
  and is not asked to evaluate;
- ganchor: `ganchor node` for each member, without torch, whose line leads to anvil and to SeaweedFS.

Servers stand on good lines. Every member's line has the same latency (there and back; a new connection costs one), or
the same limit; or all lines are gone for 5 s once in a round, when the first member has sent half of its update. The
clock and the bytes run from the end of round 1 on, so that no start of a server or a node counts. "Left out" counts
the updates that are missing in a round.

    uv run scripts/bench/superlink.py [--rounds 4] [--only flower --only ganchor] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from flower_processes import (
    CLIENTS,
    ends,
    environment_of,
    flwr_run,
    running,
    superlink,
    supernode,
)
from lines import Conditions, Lines
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "field"))

from chains import start_chain
from sites import Site, light_manifest, members, open_site
from stores import start_seaweedfs

from chain.accounts import address_of
from chain.types import Phase, RoundFinalised

NUMBERS = 350_000
UPDATE = 4 * NUMBERS
POLL = ("--poll", "1")
WINDOWS = {"commit_window": 300, "reveal_window": 300, "attest_window": 300}
STUCK = 600.0
"""Seconds after which a round is given up."""

CONDITIONS: Mapping[str, Conditions] = {
    "good": Conditions(),
    "300 ms": Conditions(latency=0.3),
    "8 Mbit/s up, 32 down": Conditions(up=8, down=32),
    "cut for 5 s": Conditions(cut=5.0),
}


@dataclass(frozen=True)
class Result:
    """What was measured; the megabytes are per member and round."""

    seconds: float
    megabytes_up: float
    megabytes_down: float
    left_out: int


@dataclass(frozen=True)
class Traffic:
    """What a member has moved in a round, on average, and how long a round took."""

    seconds: float
    up: float
    down: float

    def result(self, left_out: int) -> Result:
        return Result(
            round(self.seconds, 2), round(self.up / 1e6, 2), round(self.down / 1e6, 2), left_out
        )


def watch(ended: Callable[[], int], lines: Lines, rounds: int) -> Traffic:
    """Follow the rounds, and make a cut due in each, if the lines have cuts.

    Args:
        ended: How many rounds are over. Raises if somebody has failed.
        lines: What is counted.
        rounds: At least 2.

    Raises:
        SystemExit: A round took too long.
    """
    seen, marks, deadline = 0, [], time.monotonic() + STUCK
    while seen < rounds:
        if ended() > seen:
            seen, deadline = ended(), time.monotonic() + STUCK
            marks.append((time.monotonic(), lines.sent, lines.received))
            lines.cut_after(UPDATE // 2)
        if time.monotonic() > deadline:
            raise SystemExit(f"round {seen + 1} is not over after {STUCK:.0f} seconds")
        time.sleep(0.05)
    seconds, up, down = (
        (last - first) / (rounds - 1) for first, last in zip(marks[0], marks[-1], strict=True)
    )
    return Traffic(seconds, up / CLIENTS, down / CLIENTS)


def under_flower(folder: Path, conditions: Conditions, rounds: int) -> Result:
    """A SuperLink and its SuperNodes."""
    environment = environment_of(folder)
    command = flwr_run(rounds, f"numbers={NUMBERS}", "fraction-evaluate=0.0")
    with contextlib.ExitStack() as stack:
        log = stack.enter_context((folder / "log").open("wb"))
        port = stack.enter_context(superlink(folder, log, environment))
        lines = stack.enter_context(Lines(conditions))
        for client in range(CLIENTS):
            door = lines.line().to(port)
            stack.enter_context(running(supernode(client, door), environment, log))
        run = stack.enter_context(running(command, environment, log))

        def ended() -> int:
            over = len(ends(folder)) - 1
            if run.poll() and over < rounds:
                raise SystemExit(f"flwr run failed: {_end_of(folder / 'log')}")
            return over

        traffic = watch(ended, lines, rounds)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(60)  # Its words come late.
    said = (folder / "log").read_text(errors="replace")
    averaged = re.findall(r"aggregate_train: Received (\d+) results", said)
    if len(averaged) < rounds:
        raise SystemExit(f"{len(averaged)} of {rounds} rounds in the log: {said[-2000:]}")
    return traffic.result(sum(CLIENTS - int(results) for results in averaged[:rounds]))


def under_ganchor(folder: Path, conditions: Conditions, rounds: int) -> Result:
    """A chain, a store, and three nodes."""
    funded = [address_of(signer) for signer in members(CLIENTS)]
    manifest = light_manifest(CLIENTS, NUMBERS, count=rounds, **WINDOWS)
    with contextlib.ExitStack() as stack:
        chain = stack.enter_context(start_chain("anvil", folder, funded))
        store = stack.enter_context(start_seaweedfs(folder / "weed"))
        site = stack.enter_context(open_site(folder, chain, manifest, store))
        lines = stack.enter_context(Lines(conditions))
        for member in site.members:
            line = lines.line()
            member.chain.url = f"http://127.0.0.1:{line.to(chain.port)}"
            assert member.store is not None
            member.store.url = f"http://127.0.0.1:{line.to(int(store.url.rpartition(':')[2]))}"
        site.start_all(*POLL)
        traffic = watch(lambda: _over(site, rounds), lines, rounds)
        site.finish(STUCK)
        final = [one.event for one in site.entries() if isinstance(one.event, RoundFinalised)]
    return traffic.result(sum(CLIENTS - event.included.bit_count() for event in final))


def _over(site: Site, rounds: int) -> int:
    if failed := [one.index for one in site.members if one.process.exitcode]:
        raise SystemExit(f"node {failed[0]} failed: {site.logs()}")
    state = site.state()
    return rounds if state.phase is Phase.FINISHED else state.round - 1


def _end_of(file: Path) -> str:
    return file.read_text(errors="replace")[-2000:]


SYSTEMS = {"flower": under_flower, "ganchor": under_ganchor}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--only", action="append", choices=[*SYSTEMS])
    parser.add_argument("--weather", action="append", choices=[*CONDITIONS])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # Servers end with this one.
    table = Table("weather", "system", "s/round", "MB up", "MB down", "left out")
    results: dict[str, dict[str, Result]] = {}
    for weather in options.weather or CONDITIONS:
        for system in options.only or SYSTEMS:
            with tempfile.TemporaryDirectory() as folder:
                one = SYSTEMS[system](Path(folder), CONDITIONS[weather], options.rounds)
            results.setdefault(weather, {})[system] = one
            table.add_row(weather, system, *(str(value) for value in asdict(one).values()))
            print(f"{weather}, {system}: {one}", file=sys.stderr, flush=True)
    Console(stderr=options.json).print(table)
    if options.json:
        print(
            json.dumps(
                {key: {k: asdict(v) for k, v in ones.items()} for key, ones in results.items()}
            )
        )


if __name__ == "__main__":
    main()
