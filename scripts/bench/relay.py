"""Measure what members without ether cost a relay: gas for each member and round, over HTTP, on the devnet.

Each member signs its acts and hands them to a relay, as `ganchor node --relay` does; nobody trains. The first round is
not counted, because it writes storage for the first time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.console import Console
from rich.table import Table

from chain.accounts import Signer, address_of, dev_account, dev_accounts
from chain.deploy import deploy
from chain.devnet import devnet_in_thread
from chain.errors import LedgerError, NotAwaited, PhaseMismatch, RoundMismatch
from chain.history import commitment_of
from chain.relay.client import Relay
from chain.relay.ledger import RelayedLedger
from chain.relay.limits import Caps, Purse
from chain.relay.posting import Posted
from chain.relay.relayer import Relayer
from chain.relay.server import relay_in_thread
from chain.types import Address, Reveal, Terms
from chain.web3_ledger import Web3Ledger

PAYER = dev_account(2, 0)
LATE = (NotAwaited, PhaseMismatch, RoundMismatch)
"""What a vote meets that comes after the quorum."""


def terms(members: int, rounds: int) -> Terms:
    """A majority makes a round final, as in a manifest that says nothing about it."""
    return Terms(
        rounds=rounds + 1,  # so that the last measured round opens another one, like all before it
        commit_window=3_600,
        reveal_window=3_600,
        attest_window=3_600,
        cohort_fraction=10_000,
        cohort_floor=members,
        min_updates=1,
        quorum=5_000,
    )


def digest(*parts: object) -> bytes:
    """Return 32 bytes that look like a sha256, because zero bytes would cost less gas."""
    return hashlib.sha256(repr(parts).encode()).digest()


class Bench:
    """A devnet, a contract, a relay, and members whose accounts are empty."""

    def __init__(self, url: str, members: int, rounds: int) -> None:
        self.url = url
        self.contract: Address = deploy(url, PAYER).address
        self.signers: list[Signer] = dev_accounts(9, members)
        self.payer = Web3Ledger(url, self.contract, PAYER)
        accounts = [address_of(signer) for signer in self.signers]
        opened = self.payer.open_task(
            digest("manifest"), digest("genesis"), accounts, terms(members, rounds)
        )
        self.task = opened.entries[0].event.task
        self.posted: list[Posted] = []
        self.relayer = Relayer(
            Web3Ledger(url, self.contract),
            self.payer,
            {self.task: accounts},
            Purse(Caps()),
            wait=60,
            notice=self._note,
        )

    def _note(self, outcome: Posted | LedgerError) -> None:
        if isinstance(outcome, LedgerError):
            raise outcome
        self.posted.append(outcome)

    def member(self, signer: Signer, relay: str) -> RelayedLedger:
        """A member's ledger; it never calls the contract itself, which it could not pay for."""
        direct = Web3Ledger(self.url, self.contract, signer)
        return RelayedLedger(direct, Relay(relay, seconds=60), signer, share=1)

    def round(self, number: int, members: list[RelayedLedger], pool: ThreadPoolExecutor) -> None:
        """A whole round, the members at once."""
        everyone = (1 << len(members)) - 1

        def opening(ledger: RelayedLedger) -> Reveal:
            return Reveal(digest(ledger.account, number), 1_000, 123_456, 654_321, digest(number))

        def commit(ledger: RelayedLedger) -> object:
            where = (ledger.chain_id, ledger.contract, self.task, number, ledger.account)
            return ledger.commit(self.task, number, commitment_of(*where, opening(ledger)))

        def attest(ledger: RelayedLedger) -> object:
            try:
                return ledger.attest(self.task, number, digest("aggregate", number), everyone)
            except LATE:
                return None

        acts: list[Callable[[RelayedLedger], object]] = [
            commit,
            lambda ledger: ledger.reveal(self.task, number, opening(ledger)),
            attest,
        ]
        for act in acts:
            for done in [pool.submit(act, ledger) for ledger in members]:
                done.result()


def measure(members: int, rounds: int) -> dict[str, float]:
    """Gas for each member and round, by function and in all, and seconds a round."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "chain.sqlite"
        with devnet_in_thread(database, fund=[address_of(PAYER)]) as url:
            bench = Bench(url, members, rounds)
            return _measured(bench, members, rounds)


def _measured(bench: Bench, members: int, rounds: int) -> dict[str, float]:
    with relay_in_thread(bench.relayer) as relay, ThreadPoolExecutor(members) as pool:
        ledgers = [bench.member(signer, relay) for signer in bench.signers]
        bench.round(1, ledgers, pool)
        bench.posted.clear()
        began = time.monotonic()
        for number in range(2, rounds + 1):
            bench.round(number, ledgers, pool)
        seconds = time.monotonic() - began
    gas: Counter[str] = Counter()
    for posted in bench.posted:
        gas["+".join(posted.functions)] += posted.receipt.gas_used
    shares = {name: spent / members / (rounds - 1) for name, spent in gas.items()}
    return {
        "members": members,
        **shares,
        "round": sum(shares.values()),
        "transactions": len(bench.posted) / (rounds - 1),
        "seconds": seconds / (rounds - 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, nargs="+", default=[3, 5, 10, 32])
    parser.add_argument(
        "--rounds", type=int, default=3, help="rounds, the first of which does not count"
    )
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    options = parser.parse_args()
    measured = [measure(members, options.rounds) for members in options.members]
    if options.json:
        print(json.dumps(measured))
        return
    table = Table(*measured[0])
    for values in measured:
        table.add_row(
            *(f"{value:,.1f}" if value % 1 else f"{value:,.0f}" for value in values.values())
        )
    Console().print(table)


if __name__ == "__main__":
    main()
