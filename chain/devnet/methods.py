"""The JSON-RPC methods, from raw parameters to JSON results.

Source: https://ethereum.github.io/execution-apis; `evm_*` and `anvil_*` behave as in anvil.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cached_property
from typing import Any

from eth.exceptions import HeaderNotFound, TransactionNotFound

from chain.devnet.answers import (
    Json,
    block_answer,
    data,
    pending_answer,
    quantity,
    receipt_answer,
    transaction_answer,
)
from chain.devnet.blocks import Chain, Refused
from chain.devnet.params import (
    ParamsInvalid,
    shown,
    to_call,
    to_choice,
    to_count,
    to_data,
    to_percentiles,
    to_quantity,
    to_record,
    to_slot,
    to_topics,
)

MAX_FEE_BLOCKS = 1024
PRIORITY_FEE_WEI = 10**9
CLIENT_VERSION = "ganchor-devnet/py-evm"

_MAX_BLOCK = (1 << 63) - 1


class MethodUnknown(Exception):
    """The method does not exist."""


class Methods:
    """The methods of one chain. For use from one thread."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain

    def call(self, method: str, params: list[Any]) -> Any:
        """Run a method.

        Raises:
            MethodUnknown, ParamsInvalid, TooMuch: See there.
            Refused, Failed: See `chain.devnet.blocks`.
        """
        self.chain.deadline.check()
        function = self._table.get(method)
        if function is None:
            raise MethodUnknown(f"the method {shown(method)} does not exist/is not available")
        try:
            inspect.signature(function).bind(*params)
        except TypeError as error:
            raise ParamsInvalid(f"{method}: {error}") from None
        return function(*params)

    @cached_property
    def _table(self) -> dict[str, Callable[..., Any]]:
        chain_id = self.chain.chain_id
        return {
            "web3_clientVersion": lambda: CLIENT_VERSION,
            "net_version": lambda: str(chain_id),
            "net_listening": lambda: True,
            "eth_chainId": lambda: quantity(chain_id),
            "eth_accounts": self._accounts,
            "eth_syncing": lambda: False,
            "eth_blockNumber": lambda: quantity(self.chain.head.block_number),
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getTransactionByHash": self._transaction,
            "eth_getTransactionReceipt": self._receipt,
            "eth_getLogs": self._logs,
            "eth_getBalance": self._balance,
            "eth_getCode": self._code,
            "eth_getStorageAt": self._storage,
            "eth_getTransactionCount": self._nonce,
            "eth_call": self._call,
            "eth_estimateGas": self._estimate_gas,
            "eth_sendRawTransaction": lambda raw: data(self.chain.send(to_data(raw))),
            "eth_gasPrice": lambda: quantity(self._base_fee() + PRIORITY_FEE_WEI),
            "eth_maxPriorityFeePerGas": lambda: quantity(PRIORITY_FEE_WEI),
            "eth_feeHistory": self._fee_history,
            "evm_increaseTime": lambda by: quantity(self.chain.move_clock(to_count(by))),
            "evm_mine": self._mine,
            "anvil_setBalance": self._set_balance,
            "hardhat_setBalance": self._set_balance,
        }

    # -- blocks and transactions

    def _block_by_number(self, tag: Any, full: Any = False) -> Json | None:
        if tag == "pending":
            return pending_answer(self.chain.next_header())
        header = self._find_header(tag)
        return None if header is None else self._block(header, full)

    def _block_by_hash(self, block_hash: Any, full: Any = False) -> Json | None:
        header = self._find_header({"blockHash": block_hash})
        return None if header is None else self._block(header, full)

    def _block(self, header: Any, full: Any) -> Json:
        return block_answer(self.chain.py_evm.get_block_by_header(header), full=bool(full))

    def _transaction(self, transaction_hash: Any) -> Json | None:
        found = self._find(to_data(transaction_hash, 32))
        if found is None:
            return None
        block, index = found
        return transaction_answer(block, block.transactions[index], index)

    def _receipt(self, transaction_hash: Any) -> Json | None:
        found = self._find(to_data(transaction_hash, 32))
        if found is None:
            return None
        block, index = found
        receipts = block.get_receipts(self.chain.py_evm.chaindb)
        return receipt_answer(block, receipts, index, self.chain.py_evm.get_vm(block.header))

    def _find(self, transaction_hash: bytes) -> tuple[Any, int] | None:
        try:
            number, index = self.chain.py_evm.get_canonical_transaction_index(transaction_hash)
        except TransactionNotFound:
            return None
        return self.chain.py_evm.get_canonical_block_by_number(number), index

    def _logs(self, query: Any) -> list[Json]:
        first, last = self._range(to_record(query))
        topics = to_topics(query.get("topics"))
        addresses = to_choice(query.get("address"), 20)
        limits, deadline = self.chain.limits, self.chain.deadline
        return self.chain.database.find_logs(first, last, addresses, topics, limits, deadline)

    def _range(self, query: Json) -> tuple[int, int]:
        if "blockHash" in query:
            number = self._header({"blockHash": query["blockHash"]}).block_number
            return number, number
        first, last = self._number(query.get("fromBlock")), self._number(query.get("toBlock"))
        if first > last:
            raise ParamsInvalid(f"invalid block range: from {first} to {last}")
        return first, last

    # -- state

    def _accounts(self) -> list[str]:
        return []  # The devnet holds no keys and signs nothing.

    def _balance(self, address: Any, tag: Any = "latest") -> str:
        return quantity(self._state(tag).get_balance(to_data(address, 20)))

    def _nonce(self, address: Any, tag: Any = "latest") -> str:
        return quantity(self._state(tag).get_nonce(to_data(address, 20)))

    def _code(self, address: Any, tag: Any = "latest") -> str:
        return data(self._state(tag).get_code(to_data(address, 20)))

    def _storage(self, address: Any, slot: Any, tag: Any = "latest") -> str:
        word = self._state(tag).get_storage(to_data(address, 20), to_slot(slot))
        return data(word.to_bytes(32, "big"))

    # -- running code

    def _call(self, message: Any, tag: Any = "latest") -> str:
        return data(self.chain.call(self._header(tag), to_call(message)))

    def _estimate_gas(self, message: Any, tag: Any = "pending") -> str:
        return quantity(self.chain.estimate_gas(self._header(tag), to_call(message)))

    # -- fees

    def _base_fee(self) -> int:
        return int(self.chain.next_header().base_fee_per_gas)

    def _fee_history(self, count: Any, newest: Any, percentiles: Any = None) -> Json:
        last = self._header("latest" if newest == "pending" else newest).block_number
        blocks = min(to_count(count), MAX_FEE_BLOCKS, last + 1)
        headers = [self._header(quantity(n)) for n in range(last + 1 - blocks, last + 1)]
        fees = [quantity(header.base_fee_per_gas) for header in headers]
        answer: Json = {
            "oldestBlock": quantity(last + 1 - blocks),
            "baseFeePerGas": [*fees, quantity(self._base_fee())],
            "gasUsedRatio": [header.gas_used / header.gas_limit for header in headers],
        }
        if percentiles:
            reward = [quantity(PRIORITY_FEE_WEI)] * len(to_percentiles(percentiles))
            answer["reward"] = [reward for _ in headers]
        return answer

    # -- for tests and demos only

    def _mine(self, *_: Any) -> str:
        self.chain.mine_empty()
        return "0x0"

    def _set_balance(self, address: Any, wei: Any) -> None:
        self.chain.raise_balance(to_data(address, 20), to_quantity(wei))

    # -- blocks by tag

    def _state(self, tag: Any) -> Any:
        return self.chain.state_at(self._header(tag))

    def _header(self, tag: Any) -> Any:
        header = self._find_header(tag)
        if header is None:
            raise Refused("header not found")
        return header

    def _find_header(self, tag: Any) -> Any | None:
        """The header that a tag, number or object (EIP-1898) stands for."""
        if tag == "pending":
            return self.chain.next_header()
        try:
            if isinstance(tag, dict) and "blockHash" in tag:
                return self.chain.py_evm.get_block_header_by_hash(to_data(tag["blockHash"], 32))
            number = self._number(tag.get("blockNumber") if isinstance(tag, dict) else tag)
            return self.chain.py_evm.get_canonical_block_header_by_number(number)
        except HeaderNotFound:
            return None

    def _number(self, tag: Any) -> int:
        if tag in (None, "latest", "safe", "finalized", "pending"):
            return int(self.chain.head.block_number)
        return 0 if tag == "earliest" else min(to_quantity(tag), _MAX_BLOCK)
