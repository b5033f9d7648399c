"""py-evm's blocks, transactions, receipts and logs as the JSON of the execution API.

Source: https://ethereum.github.io/execution-apis. eth-tester's serializers pick the fields. This
module gives them their names and encodings: a quantity is the shortest hex, data is hex with two digits for each byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from eth_tester.backends.pyevm.serializers import (
    serialize_block,
    serialize_transaction,
    serialize_transaction_receipt,
)

Json = dict[str, Any]


def quantity(number: int) -> str:
    """A number as "0x" and the fewest digits possible."""
    return hex(number)


def data(raw: bytes) -> str:
    """Bytes as "0x" and two digits for each."""
    return "0x" + raw.hex()


def block_answer(block: Any, *, full: bool) -> Json:
    """A mined block, with its transactions in full or as hashes."""
    answer: Json = _spell(serialize_block(block, full, is_pending=False))
    answer["miner"] = answer.pop("coinbase")
    answer["logsBloom"] = data(block.header.bloom.to_bytes(256, "big"))
    answer["extraData"] = data(block.header.extra_data)
    if full:
        pairs = enumerate(block.transactions)
        answer["transactions"] = [transaction_answer(block, item, index) for index, item in pairs]
    return answer


def pending_answer(header: Any) -> Json:
    """The block that would be mined now: it has no hash yet, and on this chain no transactions."""
    return {
        "number": quantity(header.block_number),
        "hash": None,
        "nonce": None,
        "miner": None,
        "parentHash": data(header.parent_hash),
        "difficulty": quantity(header.difficulty),
        "extraData": data(header.extra_data),
        "timestamp": quantity(header.timestamp),
        "baseFeePerGas": quantity(header.base_fee_per_gas),
        "gasLimit": quantity(header.gas_limit),
        "gasUsed": quantity(0),
        "transactions": [],
        "uncles": [],
    }


def transaction_answer(block: Any, transaction: Any, index: int) -> Json:
    """A mined transaction."""
    answer: Json = _spell(serialize_transaction(block, transaction, index, is_pending=False))
    answer["input"] = answer.pop("data")
    answer["to"] = _or_none(answer["to"])
    if "accessList" in answer:
        answer["accessList"] = [
            {
                "address": data(address),
                "storageKeys": [data(key.to_bytes(32, "big")) for key in keys],
            }
            for address, keys in transaction.access_list
        ]
    return answer


def receipt_answer(block: Any, receipts: Sequence[Any], index: int, vm: Any) -> Json:
    """The receipt of a mined transaction."""
    transaction = block.transactions[index]
    answer: Json = _spell(
        serialize_transaction_receipt(block, receipts, transaction, index, False, vm)
    )
    del answer["stateRoot"]
    answer["to"] = _or_none(answer["to"])
    answer["logsBloom"] = data(receipts[index].bloom.to_bytes(256, "big"))
    answer["logs"] = [
        log for log in log_answers(block, receipts) if log["transactionIndex"] == quantity(index)
    ]
    return answer


def log_answers(block: Any, receipts: Sequence[Any]) -> Iterator[Json]:
    """The logs of a block, numbered in order."""
    number = 0
    for index, receipt in enumerate(receipts):
        for log in receipt.logs:
            yield {
                "address": data(log.address),
                "topics": [data(topic.to_bytes(32, "big")) for topic in log.topics],
                "data": data(log.data),
                "blockNumber": quantity(block.number),
                "blockHash": data(block.hash),
                "blockTimestamp": quantity(block.header.timestamp),
                "transactionHash": data(block.transactions[index].hash),
                "transactionIndex": quantity(index),
                "logIndex": quantity(number),
                "removed": False,
            }
            number += 1


def _or_none(address: str) -> str | None:
    return None if address == "0x" else address


def _spell(value: Any) -> Any:
    if isinstance(value, dict):
        return {_camel(name): _spell(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spell(item) for item in value]
    if isinstance(value, bytes):
        return data(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return quantity(value)
    return value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
