"""Seconds, requests and bytes of a round in the field: chains of other makers, slow answers, narrow lines.

Three nodes (`ganchor node` without torch, whose training takes no time) run as processes, each behind proxies before
chain and store. The clock runs from the first final round to the last, and so do the counts of requests and bytes, per
member and round; a batch of JSON-RPC calls is one request. `start` is a node's requests before that, its first round
among them. `bytes` is what went between a member and the store, in both directions, as a multiple of its update up, the
parent and the others' updates down.

    uv run scripts/bench/field.py [--only anvil --only 300ms] [--rounds 4] [--json]

The chains need `npm install` in tests/field; the lines use SeaweedFS.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "field"))

from chains import Kind, start_chain
from sites import Site, light_manifest, members, open_site
from stores import start_seaweedfs
from weather import FINE, Weather, link

from chain.accounts import address_of
from chain.types import Phase

NODES = 3
POLL = ("--poll", "1")


@dataclass(frozen=True)
class Condition:
    """What a run is made of.

    Attributes:
        chain: Which chain, and its seconds between blocks; 0 makes a block for each transaction.
        weather: On every line.
        megabits: Of the line of every member but the last, up; down it is four times that. None: no limit.
        numbers: Of the model; 4 bytes each.
        rounds: At most so many, where each takes long.
        words: Options of the nodes.
        seconds: That the last member trains; the others take no time.
        store: Whether it is SeaweedFS behind the lines, instead of a folder.
    """

    chain: Kind
    block_seconds: int = 0
    weather: Weather = FINE
    megabits: float | None = None
    numbers: int = 1_000
    rounds: int = 100
    words: tuple[str, ...] = POLL
    seconds: float = 0.0
    store: bool = False


WIDE = 350_000  # 1.4 MB
LINES = {
    f"{rate} Mbit/s{told}": Condition(
        "anvil", 0, FINE, rate, WIDE, 3, (*POLL, option), seconds=8.0, store=True
    )
    for rate in (2, 8, 100)
    for told, option in (("", "--early-upload"), (", late", "--no-early-upload"))
}
CONDITIONS: Mapping[str, Condition] = {
    "devnet": Condition("devnet"),
    "anvil": Condition("anvil"),
    "anvil 2 s": Condition("anvil", 2),
    "anvil 12 s": Condition("anvil", 12, rounds=3),
    "edr": Condition("edr"),
    "edr 2 s": Condition("edr", 2),
    "300 ms": Condition("anvil", weather=Weather(latency=0.3)),
    "10 requests/s": Condition("anvil", weather=Weather(rate=10)),
    "1.4 MB": Condition("anvil", numbers=WIDE, store=True),
    **LINES,
}


@dataclass
class Result:
    """What was measured; `bytes` only with a store behind proxies."""

    seconds_per_round: float
    start: float
    requests: float
    bytes: float | None
    calls: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Traffic:
    """What the members' nodes have asked and moved so far."""

    requests: int
    calls: Counter[str]
    bytes: int

    @classmethod
    def of(cls, site: Site) -> Traffic:
        stores = [member.store for member in site.members if member.store]
        return cls(
            sum(member.chain.requests for member in site.members),
            sum((Counter(member.chain.asked) for member in site.members), Counter()),
            sum(store.sent + store.received for store in stores),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", action="append", choices=[*CONDITIONS])
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = dict(measured(options.only or [*CONDITIONS], options.rounds))
    columns = ("condition", "s/round", "start", "requests", "bytes")
    table = Table(*columns, title=f"{NODES} members")
    for name, result in results.items():
        share = "" if result.bytes is None else f"{result.bytes:.2f}"
        numbers = (result.seconds_per_round, result.start, result.requests)
        table.add_row(name, *(f"{number:.1f}" for number in numbers), share)
    Console(stderr=options.json).print(table)
    if options.json:
        print(json.dumps({name: vars(result) for name, result in results.items()}))


def measured(names: list[str], rounds: int) -> Iterator[tuple[str, Result]]:
    """Run each condition."""
    for name in names:
        condition = CONDITIONS[name]
        with tempfile.TemporaryDirectory() as folder:
            result = measure(Path(folder), condition, min(rounds, condition.rounds))
        print(f"{name}: {result}", file=sys.stderr, flush=True)
        yield name, result


def measure(folder: Path, condition: Condition, rounds: int) -> Result:
    """Run one task to its end."""
    manifest = light_manifest(NODES, condition.numbers, count=rounds, **WINDOWS)
    funded = [address_of(signer) for signer in members(NODES)]
    rate = condition.megabits
    lines = {index: link(rate, rate and 4 * rate) for index in range(NODES - 1)}
    with ExitStack() as stack:
        (folder / "chain").mkdir()
        chain = stack.enter_context(
            start_chain(condition.chain, folder / "chain", funded, condition.block_seconds)
        )
        store = stack.enter_context(start_seaweedfs(folder / "weed")) if condition.store else None
        site = stack.enter_context(open_site(folder, chain, manifest, store, lines))
        site.weather(condition.weather)
        for index in range(NODES):
            last = index == NODES - 1
            site.start(index, *condition.words, data=str(condition.seconds * last))
        seconds, began = timed(site, rounds)
        site.finish(600)
        return result(condition, rounds, seconds, began, Traffic.of(site))


WINDOWS: dict[str, Any] = {"commit_window": 300, "reveal_window": 300, "attest_window": 300}


def timed(site: Site, rounds: int) -> tuple[float, Traffic]:
    """Seconds a round, from the end of round 1 to the end of the task; and the traffic before."""
    began, before, ledger = 0.0, None, site.ledger()
    while True:
        state = ledger.task_state(site.task)
        if state.round >= 2 and before is None:
            began, before = time.monotonic(), Traffic.of(site)
        if state.phase is Phase.FINISHED:
            assert before is not None
            return (time.monotonic() - began) / (rounds - 1), before
        time.sleep(0.1)


def result(
    condition: Condition, rounds: int, seconds: float, began: Traffic, ended: Traffic
) -> Result:
    """Requests to the chain, calls by method, and bytes to and from the store, per member and round."""
    shares = NODES * (rounds - 1)
    least = 4 * condition.numbers * (1 + NODES)  # its update up; parent and the others' down
    return Result(
        seconds,
        began.requests / NODES,
        (ended.requests - began.requests) / shares,
        (ended.bytes - began.bytes) / shares / least if condition.store else None,
        {name: round(n / shares, 2) for name, n in (ended.calls - began.calls).items()},
    )


if __name__ == "__main__":
    main()
