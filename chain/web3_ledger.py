"""`Ledger` over JSON-RPC, for our devnet, anvil, geth, Besu, or a layer-2 chain.

contracts/ITrainingLedger.sol specifies the calls and events.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from typing import Any

from chain import answers
from chain.abi import decode_results, encode_call
from chain.accounts import Signer, address_of
from chain.answers import Log, TransactionReceipt
from chain.connection import REQUEST_SECONDS, connect
from chain.decoding import event_from_log, task_state_from
from chain.deploy import verify_contract
from chain.errors import (
    AccountUnusable,
    ChainRefused,
    ChainUnreachable,
    HistoryInvalid,
    LedgerUnusable,
)
from chain.transactions import RECEIPT_SECONDS, receipt_of, send
from chain.types import (
    Address,
    Entry,
    Look,
    Receipt,
    Reveal,
    TaskState,
    Terms,
)

LOG_BLOCKS = 10_000
"""Blocks in one request for logs. If a node allows fewer, the range is halved until it answers."""

MAX_BLOCKS = 100_000_000
"""The most blocks searched for a task's history: 38 years of mainnet, 290 days at four blocks a second."""

MAX_TASKS = 1 << 20

HISTORY_SECONDS = 900.0
"""The longest that reading one task's history may take, over all its requests."""

MAX_ENTRIES = 1 << 20
"""The most entries read of one task's history: some 3000 rounds of 96 members."""


class Web3Ledger:
    """The contract at an address, as one account sees it.

    Args:
        rpc_url: http:// or https:// endpoint of a node.
        contract: The contract's address; its code is compared with the committed artifact.
        signer: Signs the transactions; None for a read-only ledger.
        chain_id: The expected chain; None accepts any.
        first_block: The first block that is searched for history, for example the deployment's.
        request_seconds: The longest that the answer to one request may take.
        receipt_seconds: The longest that a call waits until its transaction is in a block.

    Raises:
        EndpointInvalid: `rpc_url` is not such a URL.
        ChainUnreachable: The endpoint does not answer.
        ChainMismatch: The endpoint serves another chain.
        ContractMismatch: The address has no code, or other code.
    """

    def __init__(
        self,
        rpc_url: str,
        contract: Address,
        signer: Signer | None = None,
        *,
        chain_id: int | None = None,
        first_block: int = 0,
        request_seconds: float = REQUEST_SECONDS,
        receipt_seconds: float = RECEIPT_SECONDS,
    ) -> None:
        self._connection = connect(rpc_url, chain_id, request_seconds)
        verify_contract(self._connection, contract)
        self._contract = contract
        self._signer = signer
        self._first_block = first_block
        self._receipt_seconds = receipt_seconds
        self._timestamps: dict[bytes, int] = {}

    @property
    def chain_id(self) -> int:
        """The chain's id (EIP-155)."""
        return self._connection.chain_id

    @property
    def contract(self) -> Address:
        """The contract's address."""
        return self._contract

    @property
    def account(self) -> Address:
        """The account that makes the calls.

        Raises:
            AccountUnusable: This ledger is read-only.
        """
        return address_of(self._required_signer())

    def open_task(
        self,
        manifest_digest: bytes,
        genesis_digest: bytes,
        members: Sequence[Address],
        terms: Terms,
    ) -> Receipt:
        """Open a task and its first round."""
        return self._send(
            "openTask", manifest_digest, genesis_digest, list(members), astuple(terms)
        )

    def commit(self, task: int, round: int, commitment: bytes) -> Receipt:
        """Commit to an update."""
        return self._send("commit", task, round, commitment)

    def skip(self, task: int, round: int) -> Receipt:
        """Decline the round."""
        return self._send("skip", task, round)

    def reveal(self, task: int, round: int, opening: Reveal) -> Receipt:
        """Open the commitment."""
        return self._send("reveal", task, round, astuple(opening))

    def attest(self, task: int, round: int, aggregate_digest: bytes, included: int) -> Receipt:
        """Attest to an aggregate and the bitmap of the updates in it."""
        return self._send("attest", task, round, aggregate_digest, included)

    def advance(self, task: int) -> Receipt:
        """End a phase whose deadline has passed."""
        return self._send("advance", task)

    def rejoin(self, task: int) -> Receipt:
        """End the caller's own absence."""
        return self._send("rejoin", task)

    def task_count(self) -> int:
        """The number of tasks opened so far.

        Raises:
            HistoryInvalid: The node claims more than `MAX_TASKS`.
        """
        count = int(self._read("taskCount"))
        if count > MAX_TASKS:
            raise HistoryInvalid(f"the node claims {count} tasks, at most {MAX_TASKS} are believed")
        return count

    def task_state(self, task: int) -> TaskState:
        """The task's current state.

        Raises:
            HistoryInvalid: The node gives a state that no task can be in.
        """
        return task_state_from(self._read("taskState", task))

    def look(self, task: int) -> Look:
        """The task's current state and the chain's time for a call made now.

        Raises:
            HistoryInvalid: The node gives a state that no task can be in.
        """
        return Look(self.task_state(task), self.now())

    def history(self, task: int, from_block: int = 0) -> Sequence[Entry]:
        """All entries of the task from a block on, oldest first.

        Raises:
            LedgerUnusable: `task` is not a number that a task can have.
            HistoryInvalid: The node's logs are of another task, out of order, or too many.
        """
        if not 0 <= task < 1 << 256:
            raise LedgerUnusable(f"expected a task's number, got {task}")
        first = max(from_block, self._first_block)
        last = self._connection.ask(answers.quantity, "eth_blockNumber")
        if last - first > MAX_BLOCKS:
            raise HistoryInvalid(
                f"the node's newest block is {last}, more than {MAX_BLOCKS} after block {first}"
            )
        entries = list(self._entries(task, first, last))
        _verify_order(task, entries)
        return entries

    def gas_used(self, transaction: bytes) -> int:
        """The total gas that a transaction in the history used."""
        receipt = receipt_of(self._connection, transaction)
        if receipt is None:
            raise HistoryInvalid(f"the node has no receipt of transaction 0x{transaction.hex()}")
        return receipt.gas_used

    def now(self) -> int:
        """The chain's time for a call made now, in seconds since 1970."""
        try:
            pending = self._block("eth_getBlockByNumber", "pending")
        except ChainRefused:
            pending = None
        if pending is not None:
            return pending.timestamp
        # The node builds no blocks itself: the next block comes about now.
        latest = self._block("eth_getBlockByNumber", "latest")
        return max(latest.timestamp if latest else 0, int(time.time()))

    def _block(self, method: str, which: str) -> answers.Block | None:
        return self._connection.ask(answers.block, method, which, False)

    def _required_signer(self) -> Signer:
        if self._signer is None:
            raise AccountUnusable("this ledger is read-only; sending needs an account")
        return self._signer

    def _read(self, function: str, *arguments: Any) -> Any:
        """Call a function of the contract and return its single result."""
        call = {"to": self._contract, "data": "0x" + encode_call(function, arguments).hex()}

        def decode_answer(answer: object) -> Any:
            return decode_results(function, answers.data(answer))[0]

        return self._connection.ask(decode_answer, "eth_call", call, "latest")

    def _send(self, function: str, *arguments: Any) -> Receipt:
        signer = self._required_signer()
        call = encode_call(function, arguments)
        seconds = self._receipt_seconds
        return self._receipt(send(self._connection, signer, call, self._contract, seconds))

    def _receipt(self, receipt: TransactionReceipt) -> Receipt:
        logs = [log for log in receipt.logs if log.address == self._contract]
        return Receipt(
            transaction=receipt.transaction,
            block_number=receipt.block_number,
            gas_used=receipt.gas_used,
            entries=tuple(self._entry(log) for log in logs),
        )

    def _entries(self, task: int, first: int, last: int) -> Iterator[Entry]:
        """The task's entries in a range of blocks, bounded in time and number."""
        ends, count = time.monotonic() + HISTORY_SECONDS, 0
        for logs in self._logs(task, first, last):
            for log in logs:
                yield self._entry(log)
                count += 1
                if count > MAX_ENTRIES:
                    raise HistoryInvalid(
                        f"the node gave more than {MAX_ENTRIES} logs of task {task}"
                    )
                _verify_time(ends)
            _verify_time(ends)

    def _logs(self, task: int, first: int, last: int) -> Iterator[list[Log]]:
        """The task's logs in a range of blocks, asked for in smaller ranges if the node refuses large ones."""
        count = LOG_BLOCKS
        while first <= last:
            until = min(first + count - 1, last)
            try:
                yield self._logs_between(task, first, until)
            except ChainRefused:
                if until == first:
                    raise
                count = (until - first + 1) // 2
                continue
            first, count = until + 1, min(count * 2, LOG_BLOCKS)

    def _logs_between(self, task: int, first: int, last: int) -> list[Log]:
        query = {
            "address": self._contract,
            "topics": [None, "0x" + task.to_bytes(32, "big").hex()],
            "fromBlock": hex(first),
            "toBlock": hex(last),
        }
        found = self._connection.ask(answers.logs, "eth_getLogs", query)
        for log in found:
            if not first <= log.block_number <= last:
                raise HistoryInvalid(
                    f"asked for logs of blocks {first} to {last}, got one of {log.block_number}"
                )
            if log.address != self._contract:
                raise HistoryInvalid(
                    f"asked for logs of {self._contract}, got one of {log.address}"
                )
        return found

    def _entry(self, log: Log) -> Entry:
        return Entry(
            event=event_from_log(log),
            block_number=log.block_number,
            log_index=log.log_index,
            timestamp=self._timestamp(log),
            transaction=log.transaction,
        )

    def _timestamp(self, log: Log) -> int:
        """The timestamp of a log's block; newer nodes give it with the log.

        Blocks are identified by hash: after a reorganisation another block can have the same number.
        """
        if log.timestamp is not None:
            return log.timestamp
        if log.block_hash not in self._timestamps:
            block = self._block("eth_getBlockByHash", "0x" + log.block_hash.hex())
            if block is None:
                raise HistoryInvalid(f"the node does not have block 0x{log.block_hash.hex()}")
            self._timestamps[log.block_hash] = block.timestamp
        return self._timestamps[log.block_hash]


def _verify_time(ends: float) -> None:
    if time.monotonic() > ends:
        raise ChainUnreachable(f"the node did not give the whole log in {HISTORY_SECONDS:g} s")


def _verify_order(task: int, entries: Sequence[Entry]) -> None:
    positions = [(entry.block_number, entry.log_index) for entry in entries]
    if sorted(set(positions)) != positions:
        raise HistoryInvalid(f"the node gave task {task}'s logs twice or out of order")
    for entry in entries:
        if entry.event.task != task:
            raise HistoryInvalid(
                f"asked for the logs of task {task}, got one of {entry.event.task}"
            )
