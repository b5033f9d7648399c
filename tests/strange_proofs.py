"""Proofs of a history head that prove nothing, and ones that are damaged at random."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

import rlp
from eth_utils.crypto import keccak
from proving import account, header_of, path, trie_of, with_header

from chain.artifact import load_artifact
from chain.headers import MAX_HEADER_BYTES
from chain.proofs import MAX_NODE_BYTES, MAX_NODES, HeadProof, head_slot
from chain.types import Address


def cut(proof: HeadProof, **names: int) -> HeadProof:
    """Without one node of each named path."""
    changed = {
        name: tuple(node for index, node in enumerate(getattr(proof, name)) if index != at)
        for name, at in names.items()
    }
    return replace(proof, **changed)


def nested(size: int) -> bytes:
    """Lists in lists, as deep as they go in so many bytes."""
    lists = b""
    while len(lists) < size:
        lists = rlp.codec.length_prefix(len(lists), 0xC0) + lists
    return lists


Spoil = Callable[[HeadProof], HeadProof]
INVALID: dict[str, tuple[Spoil, str]] = {
    "no header": (lambda one: replace(one, header=b""), "not RLP"),
    "a header that is a text": (lambda one: replace(one, header=b"\x83abc"), "not a list of bytes"),
    "a header of lists": (lambda one: replace(one, header=rlp.encode([[]] * 20)), "list of bytes"),
    "a short header": (lambda one: replace(one, header=rlp.encode([b""] * 14)), "14 fields"),
    "a cut header": (lambda one: replace(one, header=one.header[:-1]), "not RLP"),
    "a header with more behind it": (lambda one: replace(one, header=one.header + b"\0"), "RLP"),
    "a long header": (
        lambda one: with_header(one, extraData=bytes(MAX_HEADER_BYTES)),
        "a header of 6",
    ),
    "a header of deep lists": (lambda one: replace(one, header=nested(60_000)), "not a list of bytes"),
    "a number of many digits": (lambda one: with_header(one, number=1 << 64), "a number from 0"),
    "a time after the year 9999": (lambda one: with_header(one, timestamp=1 << 60), "a number from 0"),
    "a short root": (lambda one: with_header(one, stateRoot=bytes(31)), "expected 32 bytes"),
    "another root": (lambda one: with_header(one, stateRoot=bytes(32)), "account's path breaks off"),
    "no path to the account": (lambda one: replace(one, account=()), "account's path breaks off"),
    "no path to the slot": (lambda one: replace(one, storage=()), "slot's path breaks off"),
    "the account's root is missing": (lambda one: cut(one, account=0), "account's path breaks"),
    "the account's leaf is missing": (lambda one: cut(one, account=-1 + len(one.account)), "account"),
    "the slot's leaf is missing": (lambda one: cut(one, storage=-1 + len(one.storage)), "slot's path"),
    "many nodes": (lambda one: replace(one, account=one.account * MAX_NODES), "at most 65 nodes"),
    "a long node": (
        lambda one: replace(one, storage=(*one.storage, bytes(MAX_NODE_BYTES + 1))),
        "nodes of 1024 bytes",
    ),
    "a node that is no RLP": (lambda one: replace(one, account=(*one.account, b"\xff")), "account"),
    "a node of deep lists": (lambda one: replace(one, account=(*one.account, nested(1000))), "account"),
}  # fmt: skip


def damaged(proof: HeadProof, count: int) -> Iterator[HeadProof]:
    """A proof with one thing changed, again and again: a bit, a length, a node, or the order of nodes."""
    random = Random(count)
    for _ in range(count):
        name = random.choice(["header", "account", "storage"])
        if name == "header":
            yield replace(proof, header=_changed(random, proof.header))
        else:
            yield replace(proof, **{name: _other_nodes(random, getattr(proof, name))})


def _changed(random: Random, content: bytes) -> bytes:
    place = random.randrange(len(content))
    match random.randrange(4):
        case 0:
            return content[:place]
        case 1:
            return content + random.randbytes(1)
        case 2:
            return content[:place] + random.randbytes(1) + content[place:]
        case _:
            other = content[place] ^ 1 << random.randrange(8)
            return content[:place] + bytes([other]) + content[place + 1 :]


def _other_nodes(random: Random, path: tuple[bytes, ...]) -> tuple[bytes, ...]:
    nodes = [*path]
    place = random.randrange(len(nodes))
    match random.randrange(5):
        case 0:
            del nodes[place]
        case 1:
            nodes.insert(place, random.randbytes(random.randrange(40)))
        case 2:
            nodes.insert(place, rlp.encode([b"\x20", random.randbytes(random.randrange(40))]))
        case 3:
            nodes[place], nodes[0] = nodes[0], nodes[place]
        case _:
            nodes[place] = _changed(random, nodes[place])
    return tuple(nodes)


def strange_tries(contract: Address, task: int, count: int) -> Iterator[HeadProof]:
    """Proofs whose hashes all fit, through tries that no chain makes: nodes of any form, in one another too."""
    random = Random(count)
    code = load_artifact().code_hash
    for _ in range(count):
        nodes = _strange_path(random, keccak(head_slot(task)).hex())
        state = trie_of({bytes.fromhex(contract[2:]): account(keccak(nodes[0]), code)})
        header = header_of(state.root_hash, 1, 1)
        yield HeadProof(header, path(state, bytes.fromhex(contract[2:])), tuple(nodes))


def _strange_path(random: Random, digits: str) -> list[bytes]:
    """The nodes from a root to what stands at these half bytes, in RLP."""
    named: list[bytes] = []
    left = random.choice([0, 1, 2, 10, 40, 62, 63, 64])
    node: list[object] = [_key(random, digits[left:], 2), _value(random)]
    while left:
        pointer = _pointer(random, named, node)
        taken = min(left, random.choice([0, 1, 1, 1, 1, 2, 5, 64]))
        if taken == 1 and random.randrange(4):
            node = [_sibling(random) for _ in range(16)]
            node[int(digits[left - 1], 16)] = pointer
            node.append(random.choice([b"", b"value"]))
        else:
            node = [_key(random, digits[left - taken : left], 0), pointer]
        if not random.randrange(100):
            node.append(b"")
        left -= taken
    return [bytes(rlp.encode(node)), *named]


def _pointer(random: Random, named: list[bytes], node: list[object]) -> object:
    """The hash of a node, which is put among the named ones; or the node itself, as a list, or as a text."""
    written = bytes(rlp.encode(node))
    match random.randrange(8):
        case 0:
            return node
        case 1 if len(written) < 40:
            return written
        case _:
            named.append(written)
            return keccak(written)


def _key(random: Random, digits: str, flag: int) -> object:
    """Half bytes behind the flag of a leaf (2) or an extension (0); now and then something else."""
    written = f"{flag + 1}{digits}" if len(digits) % 2 else f"{flag}0{digits}"
    match random.randrange(60):
        case 0:
            return random.choice([b"", [], [b""]])
        case 1:
            written = f"{random.randrange(16):x}{written[1:]}"
        case 2:
            written = f"{written[0]}{random.randrange(16):x}{written[2:]}"
        case 3:
            written += "00"
    return bytes.fromhex(written)


def _value(random: Random) -> object:
    word = bytes(rlp.encode(random.randbytes(random.choice([1, 31, 32]))))
    other = [b"", [], [b"", b""], b"\x80", b"\xc0", b"\x81\x01", rlp.encode(bytes(33))]
    return random.choice(other) if not random.randrange(8) else word


def _sibling(random: Random) -> object:
    other = [bytes(31), bytes(33), [], [b"\x20", b""], [b"", b"", b""]]
    return random.choice(other) if not random.randrange(200) else random.choice([b"", bytes(32)])
