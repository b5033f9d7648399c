"""Decodes an endpoint's answers and checks their ranges. Every function here raises ValueError and nothing else.

JSON-RPC encodes numbers as QUANTITY and bytes as DATA, both in hex (https://ethereum.org/developers/docs/apis/json-rpc,
"Conventions"). Ranges: block numbers and gas fit into 64 bits, times end with the year 9999.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from chain.accounts import to_address
from chain.types import Address

T = TypeVar("T")

MAX_DEPTH = 64
"""The deepest nesting of an answer that is parsed; genuine ones have at most 10 levels."""

NUMBERS = 1 << 64
CHAIN_IDS = 1 << 63
TIMES = 253_402_300_800
AMOUNTS = 1 << 256

_QUANTITY = re.compile(r"0x[0-9a-fA-F]{1,64}")
_DATA = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def parse_json(body: bytes) -> Any:
    """Parse JSON that an endpoint sent.

    Raises:
        ValueError: Not JSON, or nested too deep. The parser would overrun its stack there: under the recursion limit
            that py-evm sets for the process, Python crashes instead of raising.
    """
    left = _STRINGS.sub(b"", body).translate(None, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):  # Remove the innermost pairs of brackets, level by level.
        peeled = left.replace(b"[]", b"").replace(b"{}", b"")
        if len(peeled) == len(left):
            break
        left = peeled
    if left:
        raise ValueError(f"not JSON, or nested more than {MAX_DEPTH} deep")
    return json.loads(body)


def quantity(value: object, below: int = NUMBERS) -> int:
    """A whole number in [0, below); some nodes use plain JSON numbers for some of them."""
    number = value
    if isinstance(value, str) and _QUANTITY.fullmatch(value):
        number = int(value, 16)
    if type(number) is not int or not 0 <= number < below:
        raise ValueError(f"expected a number from 0 to {below - 1}, got {_brief(value)}")
    return number


def chain_id(value: object) -> int:
    """A chain's id (EIP-155)."""
    return quantity(value, CHAIN_IDS)


def wei(value: object) -> int:
    """An amount, or the price of a unit of gas, in wei."""
    return quantity(value, AMOUNTS)


def data(value: object) -> bytes:
    """Bytes of any length."""
    if not isinstance(value, str) or not _DATA.fullmatch(value):
        raise ValueError(f"expected bytes in hex, got {_brief(value)}")
    return bytes.fromhex(value[2:])


def word(value: object) -> bytes:
    """32 bytes: a hash or a topic."""
    decoded = data(value)
    if len(decoded) != 32:
        raise ValueError(f"expected 32 bytes, got {len(decoded)}")
    return decoded


def address(value: object) -> Address:
    """An address, in its checksummed form."""
    return to_address("0x" + data(value).hex())


@dataclass(frozen=True, slots=True)
class Block:
    """The fields of a block that are used here.

    `base_fee` is None before EIP-1559, `number` in the pending block of some nodes.
    """

    number: int | None
    timestamp: int
    gas_limit: int
    base_fee: int | None


def block(value: object) -> Block | None:
    """A block; None if the node does not have it."""
    if value is None:
        return None
    fields = _object(value)
    base = fields.get("baseFeePerGas")
    number = fields.get("number")
    return Block(
        number=None if number is None else quantity(number),
        timestamp=quantity(fields.get("timestamp"), TIMES),
        gas_limit=quantity(fields.get("gasLimit")),
        base_fee=None if base is None else wei(base),
    )


@dataclass(frozen=True, slots=True)
class Log:
    """A log: an event that a contract recorded. `timestamp` is its block's, or None if the node does not give it."""

    address: Address
    topics: tuple[bytes, ...]
    data: bytes
    block_number: int
    block_hash: bytes
    log_index: int
    transaction: bytes
    timestamp: int | None = None


def log(value: object) -> Log:
    """A log in a block; a pending log has no block and is refused."""
    fields = _object(value)
    given = fields.get("blockTimestamp")
    return Log(
        address=address(fields.get("address")),
        topics=tuple(_list(word)(fields.get("topics"))),
        data=data(fields.get("data")),
        block_number=quantity(fields.get("blockNumber")),
        block_hash=word(fields.get("blockHash")),
        log_index=quantity(fields.get("logIndex")),
        transaction=word(fields.get("transactionHash")),
        timestamp=None if given is None else quantity(given, TIMES),
    )


@dataclass(frozen=True, slots=True)
class TransactionReceipt:
    """The outcome of a transaction; `contract` is the one that it created."""

    transaction: bytes
    block_number: int
    gas_used: int
    succeeded: bool
    contract: Address | None
    logs: tuple[Log, ...]


def receipt(value: object) -> TransactionReceipt | None:
    """A transaction's receipt; None while the transaction is in no block."""
    fields = {} if value is None else _object(value)
    if fields.get("blockNumber") is None:
        return None
    made = fields.get("contractAddress")
    return TransactionReceipt(
        transaction=word(fields.get("transactionHash")),
        block_number=quantity(fields.get("blockNumber")),
        gas_used=quantity(fields.get("gasUsed")),
        succeeded=quantity(fields.get("status"), 2) == 1,
        contract=None if made is None else address(made),
        logs=tuple(_list(log)(fields.get("logs"))),
    )


def logs(value: object) -> list[Log]:
    """Logs, in the order of the answer."""
    return _list(log)(value)


@dataclass(frozen=True, slots=True)
class Known:
    """A transaction that a node knows; `block` is None while it is in none."""

    block: int | None


def known(value: object) -> Known | None:
    """What a node knows of a transaction; None if it does not know it."""
    if value is None:
        return None
    block = _object(value).get("blockNumber")
    return Known(None if block is None else quantity(block))


@dataclass(frozen=True, slots=True)
class AccountProof:
    """The nodes of a path to an account, and from there to one slot of its storage, in RLP."""

    account: tuple[bytes, ...]
    storage: tuple[bytes, ...]


def account_proof(value: object) -> AccountProof:
    """The answer to `eth_getProof` for one slot (EIP-1186)."""
    fields = _object(value)
    slots = _list(_object)(fields.get("storageProof"))
    if len(slots) != 1:
        raise ValueError(f"expected the proof of 1 slot, got {len(slots)}")
    nodes = _list(data)
    return AccountProof(
        tuple(nodes(fields.get("accountProof"))), tuple(nodes(slots[0].get("proof")))
    )


def anything(value: object) -> object:
    """Any JSON value, unchecked."""
    return value


def _brief(value: object) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    return repr(value[:100] if isinstance(value, str) else value)


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"expected an object, got {_brief(value)}")
    return value


def _list(decode: Callable[[object], T]) -> Callable[[object], list[T]]:
    def decode_all(value: object) -> list[T]:
        if not isinstance(value, list):
            raise ValueError(f"expected a list, got {_brief(value)}")
        return [decode(item) for item in value]

    return decode_all
