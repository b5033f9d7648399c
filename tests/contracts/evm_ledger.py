"""`EvmLedger`: the compiled contract on py-evm, without a node in between.

Transactions go straight to the chain inside eth-tester, because there the revert data, the logs and
the block's time of one call can be had exactly; over JSON-RPC a refused call has no block of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

from eth.exceptions import Revert
from eth.vm.spoof import SpoofTransaction
from eth_abi.abi import decode
from eth_account import Account
from eth_tester import EthereumTester, PyEVMBackend
from eth_utils.abi import collapse_if_tuple
from web3 import EthereumTesterProvider, Web3

from chain.accounts import Signer, address_of
from chain.acts import Act
from chain.artifact import load_artifact
from chain.history import ARGUMENTS, TOPICS, event_from_abi
from chain.rejections import rejection_from
from chain.types import Address, Entry, Event, Look, Phase, Receipt, Reveal, TaskState, Terms

GAS = 8_000_000
INDEXED = {
    item["name"]: [argument["indexed"] for argument in item["inputs"]]
    for item in load_artifact().abi
    if item["type"] == "event"
}
OUTPUTS = {
    item["name"]: [collapse_if_tuple(value) for value in item["outputs"]]
    for item in load_artifact().abi
    if item["type"] == "function"
}


class EvmChain:
    """A chain with the contract on it, whose clock and blocks the tests hold in hand."""

    def __init__(self) -> None:
        self.tester = EthereumTester(PyEVMBackend())
        self.w3 = Web3(EthereumTesterProvider(self.tester))
        self.evm = self.tester.backend.chain
        artifact = load_artifact()
        template = self.w3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
        creation = template.constructor().build_transaction({"gas": GAS, "gasPrice": 10**10})
        _, computation, _ = self.send(0, creation["data"], to=b"")
        assert not computation.is_error, computation.error
        address = Web3.to_checksum_address(computation.msg.storage_address)
        self.contract = self.w3.eth.contract(address, abi=artifact.abi)

    @property
    def accounts(self) -> list[Address]:
        """The accounts that can send, in ascending order."""
        return sorted((key.public_key.to_checksum_address() for key in self._keys), key=bytes_of)

    @property
    def signers(self) -> dict[Address, Signer]:
        """The accounts with their keys."""
        found = [Account.from_key(key.to_bytes()) for key in self._keys]
        return {address_of(signer): signer for signer in found}

    @property
    def _keys(self) -> list[Any]:
        return self.tester.backend.account_keys

    @property
    def time(self) -> int:
        """When the next call will be made."""
        return self.evm.header.timestamp

    def travel(self, to: int) -> None:
        """Let the next call be made at a time, which must not be in the past."""
        assert to >= self.time
        self.evm.header = self.evm.header.copy(timestamp=to)

    def send(self, sender: Any, data: str, to: bytes, gas: int = GAS) -> tuple[Any, Any, int]:
        """Put one call into one block: its receipt, its computation, its time."""
        key = next(
            k for i, k in enumerate(self._keys) if sender in (i, k.public_key.to_checksum_address())
        )
        sent_at = self.time
        nonce = self.evm.get_vm().state.get_nonce(key.public_key.to_canonical_address())
        unsigned = self._unsigned(nonce, data, to, gas)
        _, receipt, computation = self.evm.apply_transaction(unsigned.as_signed_transaction(key))
        self.tester.backend.mine_blocks()
        # py-evm dates the next block by the machine's clock; here time stands still unless told.
        self.evm.header = self.evm.header.copy(timestamp=sent_at + 1)
        return receipt, computation, sent_at

    def ask(self, data: str, to: bytes) -> bytes:
        """Run one call on the state after the latest block, and forget it; py-evm's `Revert` if it reverts.

        It is made at `time`, as a call that is sent. py-evm's own question would be asked by the machine's clock.
        """
        question = SpoofTransaction(self._unsigned(0, data, to), from_=bytes(20))
        vm = self.evm.get_vm()
        free = vm.get_header().copy(base_fee_per_gas=0)
        state = vm.build_state(vm.chaindb.db, free, vm.chain_context, vm.previous_hashes)
        before = state.snapshot()
        computation = state.costless_execute_transaction(question)
        state.revert(before)
        computation.raise_if_error()
        output: bytes = computation.output
        return output

    def _unsigned(self, nonce: int, data: str, to: bytes, gas: int = GAS) -> Any:
        return self.evm.create_unsigned_transaction(
            nonce=nonce, gas_price=10**10, gas=gas, to=to, value=0, data=bytes.fromhex(data[2:])
        )


class EvmLedger:
    """`chain.ledger.Ledger` on a `EvmChain`."""

    def __init__(self, chain: EvmChain, account: Address) -> None:
        self.chain = chain
        self.account = account

    def acting_as(self, account: Address) -> EvmLedger:
        return EvmLedger(self.chain, account)

    @property
    def chain_id(self) -> int:
        return int(self.chain.w3.eth.chain_id)

    @property
    def contract(self) -> Address:
        return Address(self.chain.contract.address)

    def open_task(
        self,
        manifest_digest: bytes,
        genesis_digest: bytes,
        members: Sequence[Address],
        terms: Terms,
    ) -> Receipt:
        return self._send("openTask", manifest_digest, genesis_digest, members, astuple(terms))

    def commit(self, task: int, round: int, commitment: bytes) -> Receipt:
        return self._send("commit", task, round, commitment)

    def skip(self, task: int, round: int) -> Receipt:
        return self._send("skip", task, round)

    def reveal(self, task: int, round: int, opening: Reveal) -> Receipt:
        return self._send("reveal", task, round, astuple(opening))

    def attest(self, task: int, round: int, aggregate_digest: bytes, included: int) -> Receipt:
        return self._send("attest", task, round, aggregate_digest, included)

    def relay(self, task: int, acts: Sequence[Act]) -> Receipt:
        return self._send("relay", task, [astuple(act) for act in acts])

    def advance(self, task: int) -> Receipt:
        return self._send("advance", task)

    def rejoin(self, task: int) -> Receipt:
        return self._send("rejoin", task)

    def task_count(self) -> int:
        return int(self.view("taskCount"))

    def task_state(self, task: int) -> TaskState:
        coordinator, manifest, genesis, terms, members, phase, *rest = self.view("taskState", task)
        coordinator = Web3.to_checksum_address(coordinator)
        return TaskState(
            coordinator, manifest, genesis, Terms(*terms), members, Phase(phase), *rest
        )

    def view(self, name: str, *arguments: Any) -> Any:
        """What a view of the contract answers."""
        data = self.chain.contract.encode_abi(name, list(arguments))
        try:
            answer = self.chain.ask(data, bytes_of(self.contract))
        except Revert as error:
            raise rejection_from(error.args[0]) from None
        return decode(OUTPUTS[name], answer)[0]

    def look(self, task: int) -> Look:
        return Look(self.task_state(task), self.chain.time)

    def _send(self, name: str, *arguments: Any) -> Receipt:
        data = self.chain.contract.encode_abi(name, list(arguments))
        to = bytes_of(self.contract)
        receipt, computation, time = self.chain.send(self.account, data, to)
        if computation.is_error:
            raise rejection_from(computation.error.args[0])
        number = self.chain.evm.header.block_number - 1
        entries = tuple(Entry(event_of(log), number, i, time) for i, log in enumerate(receipt.logs))
        return Receipt(None, number, receipt.gas_used, entries)


def bytes_of(address: Address) -> bytes:
    return bytes.fromhex(address[2:])


def event_of(log: Any) -> Event:
    """Decode py-evm's log: topics are ints, all arguments of the contract's topics are words."""
    first, *rest = (topic.to_bytes(32, "big") for topic in log.topics)
    event_type = TOPICS[first]
    types, indexed = ARGUMENTS[event_type], INDEXED[event_type.__name__]
    plain = iter(decode([t for t, i in zip(types, indexed, strict=True) if not i], log.data))
    topics = iter(rest)
    values = [
        decode([kind], next(topics))[0] if is_topic else next(plain)
        for kind, is_topic in zip(types, indexed, strict=True)
    ]
    return event_from_abi(
        event_type, [_checksummed(k, v) for k, v in zip(types, values, strict=True)]
    )


def _checksummed(kind: str, value: Any) -> Any:
    if kind == "address":
        return Web3.to_checksum_address(value)
    return [Web3.to_checksum_address(v) for v in value] if kind == "address[]" else value
