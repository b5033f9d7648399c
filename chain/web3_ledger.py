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
from chain.acts import Act
from chain.answers import TransactionReceipt
from chain.connection import PATIENCE_SECONDS, REQUEST_SECONDS, connect
from chain.decoding import task_state_from
from chain.deploy import verify_contract
from chain.endpoint import Question
from chain.errors import (
    AccountUnusable,
    ChainRefused,
    HistoryInvalid,
)
from chain.log_reader import LogReader
from chain.receipts import receipt_of
from chain.transactions import RECEIPT_SECONDS, send
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
        request_seconds: The longest that a question may take while no endpoint says anything.
        patience: The longest that a question is asked again while endpoints say that they are busy, in seconds.
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
        patience: float = PATIENCE_SECONDS,
        receipt_seconds: float = RECEIPT_SECONDS,
    ) -> None:
        self._connection = connect(rpc_url, chain_id, request_seconds, patience)
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

    def relay(self, task: int, acts: Sequence[Act]) -> Receipt:
        """Carry out what members signed; an act that is refused is left out."""
        return self._send("relay", task, [astuple(act) for act in acts])

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
        state = self._question("taskState", task)
        pending, latest = _block("pending"), _block("latest")
        self._connection.ask_all([state, pending, latest])
        return Look(task_state_from(state.answer()), _time_of(pending, latest))

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
        pending, latest = _block("pending"), _block("latest")
        self._connection.ask_all([pending, latest])
        return _time_of(pending, latest)

    def _required_signer(self) -> Signer:
        if self._signer is None:
            raise AccountUnusable("this ledger is read-only; sending needs an account")
        return self._signer

    def _read(self, function: str, *arguments: Any) -> Any:
        """Call a function of the contract and return its single result."""
        question = self._question(function, *arguments)
        self._connection.ask_all([question])
        return question.answer()

    def _question(self, function: str, *arguments: Any) -> Question[Any]:
        """What a function of the contract returns; it has a single result."""
        call = {"to": self._contract, "data": "0x" + encode_call(function, arguments).hex()}

        def decode(answer: object) -> Any:
            return decode_results(function, answers.data(answer))[0]

        return Question(decode, "eth_call", call, "latest")

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


def _block(which: str) -> Question[answers.Block | None]:
    return Question(answers.block, "eth_getBlockByNumber", which, False)


def _time_of(
    pending: Question[answers.Block | None], latest: Question[answers.Block | None]
) -> int:
    """The time of a call made now: that of the pending block, or the clock's if the node builds no blocks itself."""
    try:
        block = pending.answer()
    except ChainRefused:
        block = None
    if block is not None:
        return block.timestamp
    newest = latest.answer()
    return max(newest.timestamp if newest else 0, int(time.time()))
