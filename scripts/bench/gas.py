"""Measure what a task of five members costs on chain, over 50 rounds on an in-process eth-tester.

The quorum is all five, so that every member makes every call and the round is the dearest there is.
With a smaller one fewer attest, and the last of them, who pays for opening the next round, weighs more
in the average.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import astuple
from statistics import fmean
from typing import Any

from eth_tester import EthereumTester, PyEVMBackend
from rich.console import Console
from rich.progress import track
from rich.table import Table
from web3 import EthereumTesterProvider, Web3

from chain.compile import load_artifact
from chain.types import Reveal, Terms

MEMBERS = 5
ROUNDS = 50
GAS = 5_000_000
TERMS = Terms(
    rounds=ROUNDS + 1,  # so that the last round measured opens another, like all before it
    commit_window=3_600,
    reveal_window=3_600,
    attest_window=3_600,
    cohort_fraction=10_000,
    cohort_floor=MEMBERS,
    min_updates=3,
    quorum=9_999,
)
GOALS = {"commit": 60_000, "reveal": 45_000, "attest": 45_000, "round_of_5": 800_000}


def digest(*parts: object) -> bytes:
    """Return 32 bytes that look like a sha256, because zeros would be cheaper."""
    return hashlib.sha256(repr(parts).encode()).digest()


class Bench:
    """The contract on eth-tester, and the gas of each call so far."""

    def __init__(self) -> None:
        self.w3 = Web3(EthereumTesterProvider(EthereumTester(PyEVMBackend())))
        self.members = sorted(self.w3.eth.accounts[:MEMBERS], key=lambda member: int(member, 16))
        artifact = load_artifact()
        template = self.w3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
        receipt = self._mined(template.constructor().transact({"gas": GAS}))
        self.deploy = receipt["gasUsed"]
        self.contract = self.w3.eth.contract(receipt["contractAddress"], abi=artifact.abi)

    def call(self, member: str, name: str, *arguments: Any) -> int:
        """Make one call and return its gas."""
        function = self.contract.functions[name](*arguments)
        receipt = self._mined(function.transact({"from": member, "gas": GAS}))
        return int(receipt["gasUsed"])

    def play(self, round: int) -> dict[str, list[int]]:
        """Play one round to its end; return the gas of each call, by function."""
        openings = {member: opening(round, member) for member in self.members}
        gas: dict[str, list[int]] = {"commit": [], "reveal": [], "attest": []}
        for member in self.members:
            commitment = self.contract.functions.commitmentOf(1, round, member, openings[member])
            gas["commit"].append(self.call(member, "commit", 1, round, commitment.call()))
        for member in self.members:
            gas["reveal"].append(self.call(member, "reveal", 1, round, openings[member]))
        for member in self.members:
            pair = (digest("aggregate", round), 2**MEMBERS - 1)
            gas["attest"].append(self.call(member, "attest", 1, round, *pair))
        return gas

    def _mined(self, transaction: Any) -> Any:
        receipt = self.w3.eth.wait_for_transaction_receipt(transaction, poll_latency=0.01)
        if receipt["status"] != 1:
            raise RuntimeError(f"transaction reverted: {receipt}")
        return receipt


def opening(round: int, member: str) -> tuple[Any, ...]:
    """Return what a member of ordinary size and loss reveals."""
    salt = digest("salt", round, member)
    return astuple(Reveal(digest("update", round, member), 1_797, 1_386_294, 1_390_112, salt))


def measure() -> dict[str, float]:
    """Play all rounds and return the figures."""
    bench = Bench()
    open_task = bench.call(
        bench.members[0], "openTask", digest("m"), digest("g"), bench.members, astuple(TERMS)
    )
    console = Console(stderr=True)
    rounds = [bench.play(r) for r in track(range(1, ROUNDS + 1), "rounds", console=console)]
    sums = [sum(map(sum, played.values())) for played in rounds]
    figures = {name: fmean(g for r in rounds for g in r[name]) for name in rounds[0]}
    return {
        "deploy": bench.deploy,
        "open_task": open_task,
        **figures,
        "round_of_5": fmean(sums),
        "round_1": sums[0],
        "round_50_over_round_2": sums[49] / sums[1],
    }


def table(figures: dict[str, float]) -> Table:
    """Return the figures for people."""
    result = Table("what", "gas", "goal", title=f"{MEMBERS} members, {ROUNDS} rounds")
    for name, value in figures.items():
        goal = f"<= {GOALS[name]:,}" if name in GOALS else ""
        result.add_row(name, f"{value:,.0f}" if value > 10 else f"{value:.4f}", goal)
    return result


def main() -> None:
    """Print the table and, with --json, one JSON object as the last line."""
    parser = argparse.ArgumentParser(description="Measure the gas of a task of five.")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    as_json = parser.parse_args().json
    figures = measure()
    Console().print(table(figures))
    if as_json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
