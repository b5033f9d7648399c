"""`Ledger` over JSON-RPC: our devnet, anvil, geth, Besu, or a second layer.

What it sends and reads is specified in contracts/ITrainingLedger.sol.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from typing import Any

import requests
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from hexbytes import HexBytes
from web3 import Web3
from web3.exceptions import Web3Exception, Web3RPCError
from web3.types import FilterParams, LogReceipt, TxParams, TxReceipt

from chain.accounts import Signer, address_of, to_address
from chain.compile import load_artifact
from chain.connection import chain_errors, connect
from chain.deploy import verify_contract
from chain.errors import AccountUnusable, HistoryInvalid, LedgerUnusable
from chain.history import ARGUMENTS, TOPICS, event_from_abi
from chain.transactions import RECEIPT_SECONDS, send
from chain.types import Address, Entry, Event, Phase, Receipt, Reveal, TaskState, Terms

LOG_BLOCKS = 10_000
"""Blocks in one request for logs. Nodes that allow less get asked for half, and half of that."""


class Web3Ledger:
    """The contract at an address, as one account sees it.

    Args:
        rpc_url: http:// or https:// endpoint of a node.
        contract: Where the contract is; its code is compared with the committed artifact.
        signer: Who signs what is sent; None to read only.
        chain_id: The chain that is expected at the endpoint; None takes any.
        first_block: No earlier block is searched for history; the deployment's, for example.
        receipt_seconds: How long a call waits until its transaction is in a block.

    Raises:
        ChainUnreachable: No answer at the endpoint.
        ChainMismatch: Another chain than expected.
        ContractMismatch: No code, or other code, at the address.
    """

    def __init__(
        self,
        rpc_url: str,
        contract: Address,
        signer: Signer | None = None,
        *,
        chain_id: int | None = None,
        first_block: int = 0,
        receipt_seconds: float = RECEIPT_SECONDS,
    ) -> None:
        self._endpoint = rpc_url
        self._w3 = connect(rpc_url, chain_id)
        verify_contract(self._w3, contract)
        self._contract = self._w3.eth.contract(
            Web3.to_checksum_address(contract), abi=load_artifact().abi
        )
        self._signer = signer
        self._first_block = first_block
        self._receipt_seconds = receipt_seconds
        self._timestamps: dict[bytes, int] = {}
        with chain_errors(rpc_url):
            self._chain_id = self._w3.eth.chain_id

    @property
    def chain_id(self) -> int:
        """The chain's id (EIP-155)."""
        return self._chain_id

    @property
    def contract(self) -> Address:
        """Where the contract lives."""
        return Address(self._contract.address)

    @property
    def account(self) -> Address:
        """Who calls.

        Raises:
            AccountUnusable: This ledger only reads.
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
        """End one's own absence."""
        return self._send("rejoin", task)

    def task_count(self) -> int:
        """Number of tasks opened so far."""
        return int(self._read("taskCount"))

    def task_state(self, task: int) -> TaskState:
        """The task at a glance."""
        coordinator, manifest, genesis, terms, members, phase, *rest = self._read("taskState", task)
        with chain_errors(self._endpoint):  # a node may answer with a phase that there is not
            return TaskState(
                Address(coordinator), manifest, genesis, Terms(*terms), members, Phase(phase), *rest
            )

    def history(self, task: int, from_block: int = 0) -> Sequence[Entry]:
        """Everything recorded of the task from a block on, oldest first.

        Raises:
            LedgerUnusable: `task` is no number that a task can have.
            HistoryInvalid: The node's logs are not those of this task, or out of order.
        """
        if not 0 <= task < 1 << 256:
            raise LedgerUnusable(f"expected a task's number, got {task}")
        first = max(from_block, self._first_block)
        logs: list[LogReceipt] = []
        with chain_errors(self._endpoint):
            last = self._w3.eth.block_number
            for start in range(first, last + 1, LOG_BLOCKS):
                logs += self._logs(task, start, min(start + LOG_BLOCKS - 1, last))
            entries = [self._entry(log) for log in logs]
        _verify_order(task, entries)
        return entries

    def gas_used(self, transaction: bytes) -> int:
        """Gas that a transaction in the history used, as a whole."""
        with chain_errors(self._endpoint):
            return self._w3.eth.get_transaction_receipt(HexBytes(transaction))["gasUsed"]

    def now(self) -> int:
        """The time that the chain would give to a call made now, in seconds since 1970."""
        with chain_errors(self._endpoint):
            try:
                return int(self._w3.eth.get_block("pending")["timestamp"])
            except Web3RPCError:  # that there is no such block, among others
                # A node that builds no blocks itself: the next one comes about now.
                return max(int(self._w3.eth.get_block("latest")["timestamp"]), int(time.time()))

    def _required_signer(self) -> Signer:
        if self._signer is None:
            raise AccountUnusable("this ledger was opened to read only; sending needs an account")
        return self._signer

    def _read(self, function: str, *arguments: Any) -> Any:
        with _argument_errors(function, arguments):
            bound = self._contract.functions[function](*arguments)
        with chain_errors(self._endpoint):
            return bound.call()

    def _send(self, function: str, *arguments: Any) -> Receipt:
        signer = self._required_signer()
        with _argument_errors(function, arguments):
            data = self._contract.encode_abi(function, arguments)
        message: TxParams = {"to": self._contract.address, "data": data}
        return self._receipt(send(self._w3, signer, message, self._receipt_seconds))

    def _receipt(self, receipt: TxReceipt) -> Receipt:
        with chain_errors(self._endpoint):
            logs = [log for log in receipt["logs"] if log["address"] == self._contract.address]
            return Receipt(
                transaction=bytes(receipt["transactionHash"]),
                block_number=receipt["blockNumber"],
                gas_used=receipt["gasUsed"],
                entries=tuple(self._entry(log) for log in logs),
            )

    def _logs(self, task: int, first: int, last: int) -> list[LogReceipt]:
        """The task's logs in a range of blocks, in smaller ranges if the node wants that."""
        query: FilterParams = {
            "address": self._contract.address,
            "topics": [None, "0x" + task.to_bytes(32, "big").hex()],
            "fromBlock": first,
            "toBlock": last,
        }
        try:
            return list(self._w3.eth.get_logs(query))
        except (Web3RPCError, requests.HTTPError):  # some services refuse with a status of HTTP
            if first == last:
                raise
        middle = (first + last) // 2
        return self._logs(task, first, middle) + self._logs(task, middle + 1, last)

    def _entry(self, log: LogReceipt) -> Entry:
        return Entry(
            event=event_from_log(log),
            block_number=log["blockNumber"],
            log_index=log["logIndex"],
            timestamp=self._timestamp(log),
            transaction=bytes(log["transactionHash"]),
        )

    def _timestamp(self, log: Mapping[str, Any]) -> int:
        """The time of a log's block; newer nodes give it with the log.

        Blocks are known by their hashes: another block can get a number after a reorganisation.
        """
        given = log.get("blockTimestamp")
        if given is not None:
            return int(given, 16) if isinstance(given, str) else int(given)
        block = bytes(log["blockHash"])
        if block not in self._timestamps:
            self._timestamps[block] = self._w3.eth.get_block(HexBytes(block))["timestamp"]
        return self._timestamps[block]


@contextmanager
def _argument_errors(function: str, arguments: Sequence[Any]) -> Iterator[None]:
    """Name the call whose arguments the contract's types do not hold."""
    try:
        yield
    except (Web3Exception, TypeError, ValueError):
        shown = ", ".join(repr(argument) for argument in arguments)
        raise LedgerUnusable(f"{function} does not take ({shown})") from None


def event_from_log(log: Mapping[str, Any]) -> Event:
    """Decode a log of the contract. In its events, the indexed arguments come first.

    Raises:
        HistoryInvalid: It is no event of the contract.
    """
    signature, *indexed = [bytes(topic) for topic in log["topics"]] or [b""]
    if signature not in TOPICS:
        raise HistoryInvalid(f"a log of an event that is not the contract's: 0x{signature.hex()}")
    event_type = TOPICS[signature]
    types = ARGUMENTS[event_type]
    try:
        values = [decode((kind,), topic)[0] for kind, topic in zip(types, indexed, strict=False)]
        values += decode(types[len(indexed) :], bytes(log["data"]))
        readable = [_checksummed(*pair) for pair in zip(types, values, strict=True)]
        return event_from_abi(event_type, readable)
    except (DecodingError, ValueError) as error:
        raise HistoryInvalid(f"a log of {event_type.__name__} does not decode: {error}") from None


def _checksummed(kind: str, value: Any) -> Any:
    match kind:
        case "address":
            return to_address(value)
        case "address[]":
            return [to_address(item) for item in value]
        case _:
            return value


def _verify_order(task: int, entries: Sequence[Entry]) -> None:
    places = [(entry.block_number, entry.log_index) for entry in entries]
    if sorted(set(places)) != places:
        raise HistoryInvalid(f"the node gave task {task}'s logs twice or out of order")
    for entry in entries:
        if entry.event.task != task:
            raise HistoryInvalid(
                f"asked for the logs of task {task}, got one of {entry.event.task}"
            )
