"""Measure what tasks of five members cost on chain, each over 50 rounds on an in-process eth-tester.

The three tasks differ only in their quorum. If all five must attest, every member makes every call,
which is the most expensive round. With a smaller quorum fewer members attest: the round is cheaper,
but the average attestation is more expensive, because the last one also opens the next round.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import astuple, replace
from statistics import fmean
from typing import Any

from eth_tester import EthereumTester, PyEVMBackend
from rich.console import Console
from rich.progress import track
from rich.table import Table
from web3 import EthereumTesterProvider, Web3

from chain.artifact import load_artifact
from chain.types import BASIS_POINTS, Reveal, Terms

MEMBERS = 5
ROUNDS = 50
GAS = 5_000_000
MNEMONIC = "test test test test test test test test test test test junk"
TERMS = Terms(
    rounds=ROUNDS + 1,  # so that the last measured round opens another one, like all before it
    commit_window=3_600,
    reveal_window=3_600,
    attest_window=3_600,
    cohort_fraction=10_000,
    cohort_floor=MEMBERS,
    min_updates=3,
    quorum=9_999,
)
QUORUMS = {"two_thirds": 6_666, "majority": 5_000}
"""Smaller quorums: four of the five members, and three, which is the manifest's default."""

ATTEST_GOAL, ROUND_GOAL = 45_000, 800_000
GOALS = {
    "commit": 60_000,
    "reveal": 45_000,
    "attest": ATTEST_GOAL,
    "round_of_5": ROUND_GOAL,
    **{f"attest_{name}": ATTEST_GOAL for name in QUORUMS},
    **{f"round_of_5_{name}": ROUND_GOAL for name in QUORUMS},
}


Gas = dict[str, list[int]]
"""The gas of each call of a round, by function."""


def digest(*parts: object) -> bytes:
    """Return 32 bytes that look like a sha256, because zero bytes would cost less gas."""
    return hashlib.sha256(repr(parts).encode()).digest()


class Bench:
    """The contract on eth-tester, with members that can pay.

    Attributes:
        keys: The private key of each member, 32 bytes.
    """

    def __init__(self, members: int = MEMBERS) -> None:
        backend = PyEVMBackend.from_mnemonic(MNEMONIC, num_accounts=members)
        self.w3 = Web3(EthereumTesterProvider(EthereumTester(backend)))
        keys = {key.public_key.to_checksum_address(): key for key in backend.account_keys}
        self.members = sorted(keys, key=lambda member: int(member, 16))
        self.keys = {member: keys[member].to_bytes() for member in self.members}
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

    def open_task(self, terms: Terms) -> int:
        """Open a task with all members and return its gas."""
        parts = (digest("manifest"), digest("genesis"), self.members, astuple(terms))
        return self.call(self.members[0], "openTask", *parts)

    def play(self, task: int, round: int, votes: int) -> Gas:
        """Play one round to its end, which `votes` attestations bring about."""
        gas: Gas = {"commit": [], "reveal": [], "attest": []}
        for member in self.members:
            question = (task, round, member, opening(round, member))
            commitment = self.contract.functions.commitmentOf(*question).call()
            gas["commit"].append(self.call(member, "commit", task, round, commitment))
        for member in self.members:
            gas["reveal"].append(self.call(member, "reveal", task, round, opening(round, member)))
        for member in self.members[:votes]:
            pair = (digest("aggregate", round), 2 ** len(self.members) - 1)
            gas["attest"].append(self.call(member, "attest", task, round, *pair))
        return gas

    def _mined(self, transaction: Any) -> Any:
        receipt = self.w3.eth.wait_for_transaction_receipt(transaction, poll_latency=0.01)
        if receipt["status"] != 1:
            raise RuntimeError(f"transaction reverted: {receipt}")
        return receipt


def opening(round: int, member: str) -> tuple[Any, ...]:
    """Return a reveal with typical numbers of examples and losses."""
    salt = digest("salt", round, member)
    return astuple(Reveal(digest("update", round, member), 1_797, 1_386_294, 1_390_112, salt))


def play_task(bench: Bench, task: int, quorum: int) -> list[Gas]:
    """Play all rounds of the task."""
    votes = MEMBERS * quorum // BASIS_POINTS + 1
    numbers = track(range(1, ROUNDS + 1), f"quorum {quorum}", console=Console(stderr=True))
    return [bench.play(task, round, votes) for round in numbers]


def mean(rounds: list[Gas], name: str) -> float:
    """Return the mean gas of one function's calls, over all rounds."""
    return fmean(gas for played in rounds for gas in played[name])


def sums(rounds: list[Gas]) -> list[int]:
    """Return the gas of each round."""
    return [sum(map(sum, played.values())) for played in rounds]


def measure() -> dict[str, float]:
    """Play all tasks and return the figures."""
    bench = Bench()
    figures: dict[str, float] = {"deploy": bench.deploy, "open_task": bench.open_task(TERMS)}
    rounds = play_task(bench, 1, TERMS.quorum)
    figures |= {name: mean(rounds, name) for name in rounds[0]}
    totals = sums(rounds)
    figures |= {
        "round_of_5": fmean(totals),
        "round_1": totals[0],
        "round_50_over_round_2": totals[49] / totals[1],
    }
    for task, (name, quorum) in enumerate(QUORUMS.items(), start=2):
        bench.open_task(replace(TERMS, quorum=quorum))
        rounds = play_task(bench, task, quorum)
        figures[f"attest_{name}"] = mean(rounds, "attest")
        figures[f"round_of_5_{name}"] = fmean(sums(rounds))
    return figures


def table(figures: dict[str, float]) -> Table:
    """Return the figures as a table, which also marks goals that were missed."""
    result = Table("what", "gas", "goal", title=f"{MEMBERS} members, {ROUNDS} rounds")
    for name, value in figures.items():
        goal = f"<= {GOALS[name]:,}" if name in GOALS else ""
        missed = ", missed" if value > GOALS.get(name, value) else ""
        result.add_row(name, f"{value:,.0f}" if value > 10 else f"{value:.4f}", goal + missed)
    return result


def main() -> None:
    """Print the table and, with --json, one JSON object as the last line."""
    parser = argparse.ArgumentParser(description="Measure the gas of tasks with five members.")
    parser.add_argument("--json", action="store_true", help="print one line of JSON at the end")
    as_json = parser.parse_args().json
    figures = measure()
    Console().print(table(figures))
    if as_json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
