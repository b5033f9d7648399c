"""Measure what a member pays for a round, directly and through a relayer, in tasks of 3 to 96 members.

The second round of each task is direct and the third relayed, in three transactions: one with all commitments, one
with all reveals, one with as many votes as the quorum needs, a majority.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import Any

from eth_account import Account
from gas import TERMS, Bench, Gas, digest, opening
from rich.console import Console
from rich.progress import track
from rich.table import Table

from chain.acts import Relayed, sign_act, write_call
from chain.types import BASIS_POINTS, Address, Reveal

SIZES = (3, 5, 10, 32, 96)
MAJORITY = 5_000
GOALS = {10: 60_000, 96: 47_000}
"""Most gas per member and relayed round."""


def relayed(bench: Bench, round: int, votes: int) -> Gas:
    """Play one round by relay, and return the gas of its three transactions."""
    everyone = 2 ** len(bench.members) - 1
    pair = (digest("aggregate", round), everyone)
    openings = {member: Reveal(*opening(round, member)) for member in bench.members}
    commitments = {
        member: bench.contract.functions.commitmentOf(
            1, round, member, opening(round, member)
        ).call()
        for member in bench.members
    }
    voters = bench.members[:votes]
    return {
        "commit": [relay(bench, round, "commit", {m: (commitments[m],) for m in bench.members})],
        "reveal": [relay(bench, round, "reveal", {m: (openings[m],) for m in bench.members})],
        "attest": [relay(bench, round, "attest", dict.fromkeys(voters, pair))],
    }


def relay(bench: Bench, round: int, name: Relayed, by_member: dict[str, tuple[Any, ...]]) -> int:
    """Let the first member send everybody's act, and return the gas."""
    place = (bench.w3.eth.chain_id, Address(bench.contract.address), round, 0)
    acts = []
    for member, arguments in by_member.items():
        signer = Account.from_key(bench.keys[member])
        act = sign_act(signer, *place, write_call(name, 1, round, *arguments))
        acts.append((act.member, act.call, act.r, act.vs))
    return bench.call(bench.members[0], "relay", 1, acts)


def measure(size: int) -> dict[str, float]:
    """Play three rounds of a task, and return the gas per member."""
    bench, votes = Bench(size), size * MAJORITY // BASIS_POINTS + 1
    bench.open_task(replace(TERMS, cohort_floor=size, quorum=MAJORITY))
    bench.play(1, 1, votes)
    rounds = {"direct": bench.play(1, 2, votes), "relayed": relayed(bench, 3, votes)}
    state = bench.contract.functions.taskState(1).call()
    if state[6] != 4:
        raise RuntimeError(f"round {state[6]} is open, expected 4: an act was left out")
    figures = {}
    for way, gas in rounds.items():
        figures |= {f"{way}_{name}": float(sum(calls)) for name, calls in gas.items()}
        figures[way] = sum(map(sum, gas.values())) / size
    return figures


def table(figures: dict[int, dict[str, float]]) -> Table:
    """Return the figures as a table, which also marks goals that were missed."""
    result = Table("members", "way", "commit", "reveal", "attest", "per member", "goal")
    for size, measured in figures.items():
        for way in ("direct", "relayed"):
            goal = GOALS.get(size) if way == "relayed" else None
            missed = ", missed" if goal and measured[way] > goal else ""
            phases = (
                f"{measured[f'{way}_{name}']:,.0f}" for name in ("commit", "reveal", "attest")
            )
            bound = f"<= {goal:,}{missed}" if goal else ""
            result.add_row(str(size), way, *phases, f"{measured[way]:,.0f}", bound)
    return result


def main() -> None:
    """Print the table and, with --json, one JSON object as the last line."""
    parser = argparse.ArgumentParser(description="Measure gas by the number of members.")
    parser.add_argument("--json", action="store_true", help="print one line of JSON at the end")
    as_json = parser.parse_args().json
    sizes = track(SIZES, "sizes", console=Console(stderr=True))
    figures = {size: measure(size) for size in sizes}
    Console().print(table(figures))
    if as_json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
