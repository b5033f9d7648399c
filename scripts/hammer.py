"""Let storms loose on federations, for as long as you like, and print what became of each promise.

    uv run python scripts/hammer.py --minutes 60
    uv run python scripts/hammer.py --seed 4711 --minutes 2 --chain anvil --store seaweedfs

Three nodes run as processes on a chain and a store, with a proxy before each line. One mishap follows the other:
refusals, cuts, lies, nodes killed or held, full disks, the chain restarted or reorganised. Each storm has one task and
the next seed, and ends with an audit; every fourth has windows that a member can miss. Exits with 1 if a promise of
docs/reliability.md was broken, and prints the seed.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "field"))

from chains import start_chain
from sites import light_manifest, members, open_site
from stores import start_azurite, start_seaweedfs
from storms import Report, Storm

from chain.accounts import address_of

STORES = {"seaweedfs": start_seaweedfs, "azurite": start_azurite, "folder": None}
CHAINS = ("devnet", "anvil", "edr")
NODES = 3
NUMBERS = 50_000
WIDE = {"commit_window": 600, "reveal_window": 600, "attest_window": 600}
NARROW = {"commit_window": 15, "reveal_window": 10, "attest_window": 10}
"""In a wide window every update arrives, whatever happens; a narrow one is missed now and then."""


def main(words: Sequence[str] | None = None) -> int:
    """Run storms; returns 1 if a promise was broken, else 0."""
    given = arguments(words)
    reports = []
    end, seed = time.monotonic() + 60 * given.minutes, given.seed
    while time.monotonic() < end:
        chain = given.chain or CHAINS[seed % len(CHAINS)]
        store = given.store or [*STORES][seed // len(CHAINS) % len(STORES)]
        report = storm(seed, chain, store, given.rounds, given.block_seconds)
        print(f"seed {seed}, {chain} and {store}: {report}", flush=True)
        reports.append(report)
        seed += 1
    print(summary(reports))
    return 1 if any(report.broken for report in reports) else 0


def arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """The command line's options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, help="of the first storm; default: a new one")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=8, help="of each storm's task")
    parser.add_argument("--chain", choices=CHAINS, help="default: each in turn")
    parser.add_argument("--store", choices=[*STORES], help="default: each in turn")
    parser.add_argument("--block-seconds", type=int, default=0, help="0: a block per transaction")
    given = parser.parse_args(words)
    given.seed = secrets.randbits(24) if given.seed is None else given.seed
    return given


def storm(seed: int, chain: str, store: str, rounds: int, block_seconds: int = 0) -> Report:
    """Run one storm on a fresh chain and store."""
    manifest = light_manifest(NODES, NUMBERS, count=rounds, **(NARROW if seed % 4 == 3 else WIDE))
    funded = [address_of(signer) for signer in members(NODES)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="storm-")))
        running = stack.enter_context(start_chain(chain, folder, funded, block_seconds))
        start_store = STORES[store]
        server = stack.enter_context(start_store(folder / "server")) if start_store else None
        site = stack.enter_context(open_site(folder, running, manifest, server, seed=seed))
        site.start_all(data="0.2")
        return Storm(site, seed).rage(30.0 * rounds)


def summary(reports: Sequence[Report]) -> str:
    """All storms together."""
    mishaps: Counter[str] = Counter()
    for report in reports:
        mishaps += report.mishaps
    rounds = sum(report.rounds for report in reports)
    seconds = sum(report.seconds for report in reports)
    whole = sum(report.whole for report in reports)
    ended = sum(len(report.gave_up) for report in reports)
    bad = sum(bool(report.broken) for report in reports)
    happened = ", ".join(f"{times} x {name}" for name, times in mishaps.most_common())
    return (
        f"{len(reports)} storms, {rounds} rounds, {seconds / 60:.0f} minutes; {sum(mishaps.values())} mishaps: "
        f"{happened}. In {whole} storms every update counts; {ended} nodes gave up and were started again; "
        f"{bad} storms broke a promise."
    )


if __name__ == "__main__":
    sys.exit(main())
