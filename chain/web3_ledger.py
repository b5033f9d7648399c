"""`Ledger` over JSON-RPC, for our devnet, anvil, geth, Besu, or a layer-2 chain.

contracts/ITrainingLedger.sol specifies the calls and events.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple
from typing import Any

from chain.abi import encode_call
from chain.accounts import Signer, address_of
from chain.acts import Act, gas_for
from chain.answers import TransactionReceipt
from chain.connection import PATIENCE_SECONDS, REQUEST_SECONDS, Urls, connect
from chain.deploy import verify_contract
from chain.errors import (
    AccountUnusable,
    HistoryInvalid,
)
from chain.fees import MAX_WEI_PER_GAS
from chain.lasting import until_it_lasts
from chain.log_reader import LogReader
from chain.looking import Lookout, Settling, settling_on, state_question
from chain.proofs import HeadProof
from chain.proving import head_proof
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
from chain.views import view_question

MAX_TASKS = 1 << 20


class Web3Ledger:
    """The contract at an address, as one account sees it.

    Args:
        rpc_urls: http:// or https:// endpoint of a node, or several of the same chain, which stand in for each other.
        contract: The contract's address; its code is compared with the committed artifact.
        signer: Signs the transactions; None for a read-only ledger.
        chain_id: The expected chain; None accepts any.
        first_block: The first block that is searched for history, for example the deployment's.
        request_seconds: The longest that a question may take while no endpoint says anything.
        patience: The longest that a question is asked again while endpoints say that they are busy, in seconds.
        receipt_seconds: The longest that a call waits until its transaction is in a block.
        most_wei_per_gas: The highest price of a unit of gas that is signed, in wei.
        settling: When a look calls a state settled; None chooses by the chain.
        confirm: Whether a look counts only if two endpoints agree.
        lasting: Whether a call returns only when the block with its transaction is settled, too.

    Raises:
        EndpointInvalid: A URL is not such a one, or `confirm` has fewer than two.
        ChainUnreachable: The endpoint does not answer.
        ChainMismatch: The endpoint serves another chain.
        ContractMismatch: The address has no code, or other code.
    """

    def __init__(
        self,
        rpc_urls: Urls,
        contract: Address,
        signer: Signer | None = None,
        *,
        chain_id: int | None = None,
        first_block: int = 0,
        request_seconds: float = REQUEST_SECONDS,
        patience: float = PATIENCE_SECONDS,
        receipt_seconds: float = RECEIPT_SECONDS,
        most_wei_per_gas: int = MAX_WEI_PER_GAS,
        settling: Settling | None = None,
        confirm: bool = False,
        lasting: bool = False,
    ) -> None:
        self._connection = connect(rpc_urls, chain_id, request_seconds, patience)
        verify_contract(self._connection, contract)
        self._contract = contract
        settling = settling_on(self.chain_id) if settling is None else settling
        connections = self._connection.each() if confirm else [self._connection]
        self._lookout = Lookout(connections, contract, settling)
        self._lasting: Settling = settling if lasting else 0
        self._signer = signer
        self._log = LogReader(self._connection, contract, first_block)
        self._receipt_seconds = receipt_seconds
        self._most_wei_per_gas = most_wei_per_gas

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
        return self._send("relay", task, _structs(acts), least_gas=gas_for(len(acts)))

    def would_relay(self, task: int, acts: Sequence[Act]) -> int:
        """The bitmap of the acts that `relay` would carry out now; nothing is sent.

        Raises:
            CallRejected: The contract has no such task.
        """
        payer = {"from": self.account, "gas": hex(gas_for(len(acts)))}
        return self._connection.answer_to(
            view_question(
                self._contract, int, "relay", task, _structs(acts), block="pending", **payer
            )
        )

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
        count = self._connection.answer_to(view_question(self._contract, int, "taskCount"))
        if count > MAX_TASKS:
            raise HistoryInvalid(f"the node claims {count} tasks, at most {MAX_TASKS} are believed")
        return count

    def task_state(self, task: int) -> TaskState:
        """The task's current state.

        Raises:
            HistoryInvalid: The node gives a state that no task can be in.
        """
        return self._connection.answer_to(state_question(self._contract, task, "latest"))

    def look(self, task: int) -> Look:
        """The task's current state and the chain's time for a call made now.

        Raises:
            HistoryInvalid: The node gives a state that no task can be in.
        """
        return self._lookout.look(task)

    def settled_state(self, task: int) -> TaskState:
        """The task's state in the newest block that is settled.

        Raises:
            HistoryInvalid: The node gives a state that no task can be in.
            CallRejected: There was no such task yet.
        """
        return self._lookout.settled_state(task)

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

    def head_proof(self, task: int, head: bytes, block: int) -> HeadProof:
        """A proof that a block holds a task's history head: a given block, or the newest.

        Args:
            head: The history head, 32 bytes.
            block: The number of the block with the head's last event.

        Raises:
            ProofInvalid, ChainRefused, ChainUnreachable: As for `chain.proving.head_proof`.
        """
        return head_proof(self._connection, self._contract, task, head, block)

    def gas_used(self, transaction: bytes) -> int:
        """The total gas that a transaction in the history used."""
        receipt = receipt_of(self._connection, transaction)
        if receipt is None:
            raise HistoryInvalid(f"the node has no receipt of transaction 0x{transaction.hex()}")
        return receipt.gas_used

    def _required_signer(self) -> Signer:
        if self._signer is None:
            raise AccountUnusable("this ledger is read-only; sending needs an account")
        return self._signer

    def _send(self, function: str, *arguments: Any, least_gas: int = 0) -> Receipt:
        sent = send(
            self._connection,
            self._required_signer(),
            encode_call(function, arguments),
            self._contract,
            self._receipt_seconds,
            self._most_wei_per_gas,
            least_gas,
        )
        lasting = until_it_lasts(self._connection, sent, self._lasting, self._receipt_seconds)
        return self._receipt(lasting)

    def _receipt(self, receipt: TransactionReceipt) -> Receipt:
        logs = [log for log in receipt.logs if log.address == self._contract]
        return Receipt(
            transaction=receipt.transaction,
            block_number=receipt.block_number,
            gas_used=receipt.gas_used,
            entries=tuple(self._log.entries_of(logs)),
        )


def _structs(acts: Sequence[Act]) -> list[tuple[Any, ...]]:
    return [astuple(act) for act in acts]
