"""A block's header: the bytes whose keccak256 is the block's hash, and what they say.

Source: the Ethereum yellow paper, 4.4.3. The fields after `nonce` came later, and each block has them up to some point:
EIP-1559, 4895, 4844 (two), 4788, 7685, 7928 and 7843.
"""

from __future__ import annotations

from dataclasses import dataclass

import rlp
from eth_utils.crypto import keccak
from rlp.exceptions import RLPException

from chain import answers

MAX_HEADER_BYTES = 1 << 16
"""The longest header that is read. Ethereum's have some 600 bytes; a consortium's chain puts its seals into them."""

FIELDS = (
    "parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom", "difficulty",
    "number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce",
)  # fmt: skip
LATER_FIELDS = (
    "baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash",
    "blockAccessListHash", "slotNumber",
)  # fmt: skip
NUMBERS = {
    "difficulty", "number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas", "blobGasUsed", "excessBlobGas",
    "slotNumber",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Header:
    """What a header says.

    Attributes:
        hash: The block's hash, 32 bytes.
        number: The block's number.
        time: When the block was made, in seconds since 1970, as its maker says.
        state_root: The root of the state after the block, 32 bytes.
    """

    hash: bytes
    number: int
    time: int
    state_root: bytes


def header_from(value: object) -> bytes:
    """The header of a block that an endpoint gives, as an answer's decoder.

    Raises:
        ValueError: It is no block, or its fields do not hash to the hash that it states: the chain's headers have other
            fields than Ethereum's.
    """
    if not isinstance(value, dict):
        raise ValueError("the node does not have the block")
    there = [name for name in LATER_FIELDS if value.get(name) is not None]
    header: bytes = rlp.encode([_field(name, value.get(name)) for name in (*FIELDS, *there)])
    if keccak(header) != answers.word(value.get("hash")):
        raise ValueError("the block's header has fields that are not known here")
    read_header(header)
    return header


def read_header(content: bytes) -> Header:
    """Decode a header.

    Args:
        content: Anything.

    Raises:
        ValueError: It is no header.
    """
    if len(content) > MAX_HEADER_BYTES:
        raise ValueError(f"a header of {len(content)} bytes, at most {MAX_HEADER_BYTES}")
    fields = dict(zip(FIELDS, _items(content), strict=False))
    if fields.keys() != set(FIELDS):
        raise ValueError(f"a header of {len(fields)} fields, at least {len(FIELDS)} are expected")
    return Header(
        hash=keccak(content),
        number=_number(fields["number"], answers.NUMBERS),
        time=_number(fields["timestamp"], answers.TIMES),
        state_root=answers.word("0x" + fields["stateRoot"].hex()),
    )


def _field(name: str, value: object) -> int | bytes:
    return answers.wei(value) if name in NUMBERS else answers.data(value)


def _items(content: bytes) -> list[bytes]:
    """The items of a list of bytes. A list in it is not followed: nested ones would overrun the stack."""
    try:
        items = [*rlp.decode_lazy(content)]
    except (RLPException, IndexError, AssertionError) as error:
        raise ValueError(f"not RLP: {error}") from None
    if not all(isinstance(item, bytes) for item in items):
        raise ValueError("not a list of bytes")
    return items


def _number(content: bytes, below: int) -> int:
    return answers.quantity(int.from_bytes(content, "big"), below)
