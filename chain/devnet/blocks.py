"""The devnet's chain, by py-evm's latest rules: mines each transaction at once in its own block, on disk."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from eth import EVM_RECURSION_LIMIT
from eth.chains.base import MiningChain
from eth.db.atomic import AtomicDB
from eth.exceptions import CanonicalHeadNotFound, PyEVMError, Revert
from eth.vm.spoof import SpoofTransaction
from eth_keys.datatypes import PrivateKey
from eth_tester.backends.pyevm.main import get_default_genesis_params
from eth_utils.crypto import keccak
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException

from chain.devnet.answers import log_answers
from chain.devnet.database import Database
from chain.devnet.engine import engine
from chain.devnet.limits import DEFAULT_LIMITS, Deadline, Limits
from chain.errors import DevnetUnusable
from chain.recursion import recursion_limit

FAUCET = PrivateKey(keccak(b"ganchor devnet faucet"))
"""Holds all the ether there is. Anybody can compute its key: a devnet's ether is worth nothing."""

GENESIS_WEI = 10**30
BLOCK_GAS_LIMIT = 30_000_000
MAX_SECONDS_AHEAD = 30 * 24 * 3600
"""A moved clock cannot go back, so a chain whose clock is far ahead is of little use."""

_CALL_STIPEND = 2300


class Refused(Exception):
    """The chain refuses it; the message says why, in geth's words if geth has the same error."""


class Failed(Exception):
    """It failed in the EVM. `data` is the revert data; None for other failures."""

    def __init__(self, message: str, data: bytes | None) -> None:
        super().__init__(message)
        self.data = data


@dataclass(frozen=True, slots=True)
class Call:
    """A message to run without a transaction. Addresses are 20 bytes; an empty `to` creates a contract."""

    sender: bytes
    to: bytes
    data: bytes
    value: int
    gas: int | None


class Chain:
    """A chain in a database; a new database gets a new chain. For use from one thread.

    Attributes:
        deadline: Ends any computation of the chain; restarted at the start of each request.

    Raises:
        DevnetUnusable: The database holds a chain with another id.
    """

    def __init__(self, database: Database, chain_id: int, limits: Limits = DEFAULT_LIMITS) -> None:
        self.database = database
        self.chain_id = chain_id
        self.limits = limits
        self.deadline = Deadline(limits.seconds)
        self.py_evm = _open(database, chain_id, engine(self.deadline))
        # A clock that was moved ahead stays ahead after a restart.
        self._seconds_ahead: int = max(0, self.head.timestamp - int(time.time()))

    @property
    def head(self) -> Any:
        """The header of the latest block."""
        return self.py_evm.get_canonical_head()

    def next_header(self) -> Any:
        """The header of the block that would be mined now."""
        parent = self.head
        timestamp = max(parent.timestamp, int(time.time()) + self._seconds_ahead)
        header = self.py_evm.create_header_from_parent(
            parent, timestamp=timestamp, gas_limit=parent.gas_limit
        )
        return header.copy(mix_hash=os.urandom(32))

    def state_at(self, header: Any) -> Any:
        """The accounts after a block; for the next block, before its transactions."""
        return self.py_evm.get_vm(header).state

    def move_clock(self, seconds: int) -> int:
        """Move the clock ahead; returns the seconds by which it is ahead now."""
        if not 0 <= seconds + self._seconds_ahead <= MAX_SECONDS_AHEAD:
            raise Refused(f"the clock can be 0 to {MAX_SECONDS_AHEAD} seconds ahead")
        self._seconds_ahead += seconds
        return self._seconds_ahead

    def send(self, raw: bytes) -> bytes:
        """Mine a signed transaction; its block is on disk when this returns.

        Returns:
            Its hash.

        Raises:
            Refused: It is malformed, for another chain, or its sender cannot send it now.
            TooMuch: It takes too long to compute; no block was mined.
        """
        transaction = self._decode(raw)
        self._check(transaction)
        self._mine([transaction])
        return bytes(transaction.hash)

    def mine_empty(self) -> None:
        """Mine an empty block."""
        self._mine([])

    def raise_balance(self, address: bytes, wei: int) -> None:
        """Transfer ether from the faucet until `address` has `wei`.

        Raises:
            Refused: The address has more already, or the faucet has too little.
        """
        state = self.state_at(self.head)
        balance = state.get_balance(address)
        if balance > wei:
            raise Refused(f"balances can only be raised: from {balance} wei, {wei} asked for")
        if balance < wei:
            nonce = state.get_nonce(FAUCET.public_key.to_canonical_address())
            self.send(self._transfer(address, wei - balance, nonce))

    def call(self, header: Any, call: Call) -> bytes:
        """Run a message on the state after `header`'s block, at that block's time, and discard its effects.

        Raises:
            Failed: It reverted or failed in another way.
            Refused: The sender has too little ether for the value.
            TooMuch: It takes too long to compute.
        """
        computation, _ = self._run(header, call, _gas_limit(header, call))
        _raise_failure(computation)
        return bytes(computation.output)

    def estimate_gas(self, header: Any, call: Call) -> int:
        """The gas limit that the message needs: exact, or slightly more if it makes further calls.

        Raises:
            Failed: It fails with any limit.
            Refused: The sender has too little ether for the value.
            TooMuch: It takes too long to compute.
        """
        most = _gas_limit(header, call)
        computation, gas = self._run(header, call, most)
        _raise_failure(computation)
        while gas < most and self._run(header, call, gas)[0].is_error:
            gas = min(
                most, gas * 64 // 63 + _CALL_STIPEND
            )  # EIP-150 keeps 1/64 of the gas at each call.
        return min(gas, most)

    def _run(self, header: Any, call: Call, gas: int) -> tuple[Any, int]:
        """Run a message; returns py-evm's computation and the gas that it used before refunds."""
        vm = self.py_evm.get_vm(header.copy(base_fee_per_gas=0))
        unsigned = vm.get_transaction_builder().new_unsigned_dynamic_fee_transaction(
            chain_id=self.chain_id,
            nonce=vm.state.get_nonce(call.sender),
            max_priority_fee_per_gas=0,
            max_fee_per_gas=0,
            gas=gas,
            to=call.to,
            value=call.value,
            data=call.data,
            access_list=(),
        )
        if gas < unsigned.intrinsic_gas:
            raise Failed(f"intrinsic gas too low: have {gas}, want {unsigned.intrinsic_gas}", None)
        spoofed = SpoofTransaction(unsigned, from_=call.sender)
        try:
            with recursion_limit(EVM_RECURSION_LIMIT):
                computation = vm.state.apply_transaction(spoofed)
        except ValidationError as error:
            raise Refused(str(error)) from None
        return computation, unsigned.gas_used_by(computation) + computation.data_floor_gas

    def _decode(self, raw: bytes) -> Any:
        try:
            transaction = self.py_evm.get_vm().get_transaction_builder().decode(raw)
            transaction.validate()
            transaction.check_signature_validity()
        except (ValidationError, RLPException, PyEVMError, ValueError, TypeError) as error:
            raise Refused(f"invalid transaction: {error}") from None
        return transaction

    def _check(self, transaction: Any) -> None:
        """Check that the sender can send this. The errors are in geth's words, which other programs know."""
        if transaction.chain_id not in (self.chain_id, None):
            raise Refused(
                f"invalid chain id for signer: have {transaction.chain_id} want {self.chain_id}"
            )
        state, sender = self.state_at(self.head), transaction.sender
        nonce, balance = state.get_nonce(sender), state.get_balance(sender)
        if transaction.nonce != nonce:
            side = "low" if transaction.nonce < nonce else "high"
            raise Refused(f"nonce too {side}: next nonce {nonce}, tx nonce {transaction.nonce}")
        cost = transaction.value + transaction.gas * transaction.max_fee_per_gas
        if balance < cost:
            raise Refused(
                "insufficient funds for gas * price + value: "
                f"address 0x{sender.hex()} have {balance} want {cost}"
            )

    def _mine(self, transactions: list[Any]) -> None:
        chain = self.py_evm
        chain.header = self.next_header()
        try:
            with self.database.transaction(), recursion_limit(EVM_RECURSION_LIMIT):
                result, receipts, _ = chain.mine_all(transactions)
                block = result.imported_block
                self.database.add_logs(block.number, list(log_answers(block, receipts)))
        except ValidationError as error:
            raise Refused(str(error)) from None

    def _transfer(self, to: bytes, wei: int, nonce: int) -> bytes:
        builder = self.py_evm.get_vm().get_transaction_builder()
        fee = 2 * self.next_header().base_fee_per_gas
        unsigned = builder.new_unsigned_dynamic_fee_transaction(
            chain_id=self.chain_id,
            nonce=nonce,
            max_priority_fee_per_gas=0,
            max_fee_per_gas=fee,
            gas=100_000,
            to=to,
            value=wei,
            data=b"",
            access_list=(),
        )
        return bytes(unsigned.as_signed_transaction(FAUCET).encode())


def _open(database: Database, chain_id: int, vm: Any) -> Any:
    chain_class = type(
        "DevChain", (MiningChain,), {"chain_id": chain_id, "vm_configuration": ((0, vm),)}
    )
    atomic = AtomicDB(database)
    try:
        chain = chain_class(atomic)
    except CanonicalHeadNotFound:
        with database.transaction():
            chain = _start(chain_class, atomic, chain_id)
    # The genesis block records the chain's id, which py-evm itself does not store.
    recorded = int.from_bytes(chain.get_canonical_block_header_by_number(0).extra_data, "big")
    if recorded != chain_id:
        raise DevnetUnusable(
            f"database {database.path}: holds a chain with id {recorded}, expected {chain_id}"
        )
    return chain


def _start(chain_class: Any, atomic: AtomicDB, chain_id: int) -> Any:
    overrides = {
        "gas_limit": BLOCK_GAS_LIMIT,
        "extra_data": chain_id.to_bytes(32, "big"),
        "timestamp": int(time.time()),
    }
    account = {"balance": GENESIS_WEI, "nonce": 0, "code": b"", "storage": {}}
    return chain_class.from_genesis(
        atomic,
        get_default_genesis_params(overrides),
        {FAUCET.public_key.to_canonical_address(): account},
    )


def _gas_limit(header: Any, call: Call) -> int:
    """The gas that a message may use: at most a block's limit."""
    return min(call.gas or header.gas_limit, int(header.gas_limit))


def _raise_failure(computation: Any) -> None:
    if not computation.is_error:
        return
    if isinstance(computation.error, Revert):
        raise Failed("execution reverted", bytes(computation.output))
    raise Failed(str(computation.error) or type(computation.error).__name__, None)
