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
from chain.answers import TransactionReceipt
from chain.connection import REQUEST_SECONDS, connect
from chain.decoding import task_state_from
from chain.deploy import verify_contract
from chain.errors import (
    AccountUnusable,
    ChainRefused,
    HistoryInvalid,
)
from chain.log_reader import LogReader
from chain.transactions import RECEIPT_SECONDS, receipt_of, send
from chain.types import (
    Address,
    Entry,
    Look,
    Receipt,
    Reveal,
    TaskOpened,
    TaskState,
    Terms,
)

MAX_TASKS = 1 << 20


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
        self._log = LogReader(self._connection, contract, first_block)
        self._receipt_seconds = receipt_seconds

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

    def history(self, task: int, from_block: int = 0) -> Iterator[Entry]:
        """All entries of the task from a block on, oldest first, read from the node as they are asked for.

        Raises:
            LedgerUnusable: `task` is not a number that a task can have.
            HistoryInvalid: The node's logs are of another task, out of order, or too many.
        """
        return self._log.entries(task, from_block)

    def opening(self, task: int) -> TaskOpened | None:
        """The opening of the task, without the rest of its log; None if the log does not show it.

        Raises:
            HistoryInvalid: As for `history`.
        """
        return self._log.opening(task)

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
            entries=tuple(self._log.entry(log) for log in logs),
        )
