"""Zips that are no bundles, with what is wrong with each."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator
from random import Random
from typing import Any

DIGEST = "ab" * 32


def as_zip(names: list[str], content: bytes = b"", **options: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as written:
        for name in names:
            written.writestr(name, content)
    return buffer.getvalue()


def with_flag(flag: int) -> bytes:
    """A zip whose file claims to be encrypted, or to have its sizes behind it."""
    whole = bytearray(as_zip(["code.hex"]))
    at = whole.index(b"PK\x01\x02")
    whole[at + 8 : at + 10] = struct.pack("<H", flag)
    return bytes(whole)


def with_field(offset: int, form: str, value: int) -> bytes:
    """A zip with one file whose entry in the list says something else."""
    whole = bytearray(as_zip(["code.hex"], b"0x"))
    at = whole.index(b"PK\x01\x02") + offset
    whole[at : at + struct.calcsize(form)] = struct.pack(form, value)
    return bytes(whole)


def with_end(offset: int, form: str, value: int) -> bytes:
    whole = bytearray(as_zip(["code.hex"], b"0x"))
    at = len(whole) - 22 + offset
    whole[at : at + struct.calcsize(form)] = struct.pack(form, value)
    return bytes(whole)


def with_another_name_inside() -> bytes:
    return as_zip(["code.hex"]).replace(b"code.hex", b"evil.hex", 1)


def with_a_long_list() -> bytes:
    """As zip64 says it: a list of 64 GiB behind a file of a hundred bytes."""
    plain = as_zip(["code.hex"])
    record = b"PK\x06\x06" + struct.pack("<QHHLLQQQQ", 44, 45, 45, 0, 0, 1, 1, 1 << 36, 0)
    locator = b"PK\x06\x07" + struct.pack("<LQL", 0, len(plain) - 22, 1)
    return plain[:-22] + record + locator + plain[-22:]


def with_more(before_the_list: bool) -> bytes:
    """A zip of two files with bytes that belong to neither: before the second file, or before the list of both."""
    whole = bytearray(as_zip(["code.hex", "state.json"]))
    listed = whole.index(b"PK\x01\x02")
    at = listed if before_the_list else whole.index(b"PK\x03\x04", 1)
    if not before_the_list:
        second = whole.index(b"PK\x01\x02", listed + 1)
        whole[second + 42 : second + 46] = struct.pack("<L", at + 4)
    whole[-6:-2] = struct.pack("<L", listed + 4)
    return bytes(whole[:at] + b"more" + whole[at:])


STRANGE: list[tuple[bytes, str]] = [
    (b"", "does not end like a zip"),
    (b"PK", "does not end like a zip"),
    (as_zip([]) + b"more", "does not end like a zip"),
    (as_zip(["../code.hex"]), "no file of a bundle has the name"),
    (as_zip(["/etc/passwd"]), "no file of a bundle has the name"),
    (as_zip(["blobs/../code.hex"]), "no file of a bundle has the name"),
    (as_zip(["blobs/" + DIGEST.upper()]), "no file of a bundle has the name"),
    (as_zip(["blobs/" + DIGEST + "\n"]), "no file of a bundle has the name"),
    (as_zip(["\x1b[2J"]), "no file of a bundle has the name"),
    (as_zip(["blobs/"]), "no file of a bundle has the name"),
    (as_zip(["x" * 65_000]), "no file of a bundle has the name"),
    (as_zip(["page/../state.js"]), "no file of a bundle has the name"),
    (as_zip(["page/.htaccess"]), "no file of a bundle has the name"),
    (as_zip(["page/run.exe"]), "no file of a bundle has the name"),
    (as_zip(["page/main.js"], b"0" * (1 << 22 | 1)), "a page of 4194305 bytes"),
    (as_zip(["code.hex"]).replace(b"code.hex", b"code.h\0x"), "no file of a bundle has the name"),
    (as_zip(["code.hex"], b"0" * 10**6, compression=zipfile.ZIP_DEFLATED), "is compressed"),
    (as_zip(["code.hex"], b"0" * 10**6, compression=zipfile.ZIP_LZMA), "is compressed"),
    (with_flag(1), "is encrypted"),
    (with_flag(8), "not written in one go"),
    (with_field(24, "<L", 1 << 30), "is compressed"),
    (with_field(6, "<B", 64), "version 6.4"),
    (with_field(32, "<H", 9), "is cut off"),
    (with_field(42, "<L", 1 << 30), "is not where the list says"),
    (with_field(42, "<L", 3), "is not where the list says"),
    (with_another_name_inside(), "has another name where it is"),
    (with_a_long_list(), "a list of files of"),
    (with_end(12, "<L", 1 << 30), "a list of files of"),
    (with_end(12, "<L", 1 << 20), "not a bundle"),
    (with_end(16, "<L", 1 << 20), "not a bundle"),
    (with_more(before_the_list=False), "does not follow the file before it"),
    (with_more(before_the_list=True), "does not follow the last file"),
    (as_zip([]), "does not begin with a file"),
    (b"MZ" + as_zip(["code.hex"]), "does not begin with a file"),
    (as_zip(["code.hex"]), "holds no state.json"),
    (as_zip(["state.json"]), "state.json: "),
    (as_zip(["blobs.json", "blobs/" + DIGEST]), "names its blobs, and holds some"),
    (as_zip(["blobs.json"], b'["ab"]'), "expected a list of digests"),
    (as_zip(["blobs.json"], b"[" * 100_000), "expected a list of digests"),
    (as_zip(["state.json"], b"[" * 1_000), "nested more than"),
    (as_zip(["state.json"], b"9" * 10_000), "digits"),
    (as_zip(["state.json"], b" " * (1 << 15)), "at most 16384"),
]


def damaged(genuine: bytes, count: int) -> Iterator[bytes]:
    """A bundle with some bytes altered, every other time in its list of files, and every tenth one cut."""
    random, listed = Random(3), genuine.index(b"PK\x01\x02")
    for number in range(count):
        whole = bytearray(genuine)
        low = listed if number % 2 else 0
        for _ in range(random.randint(1, 4)):
            whole[random.randrange(low, len(whole))] = random.randrange(256)
        cut = random.randrange(len(whole)) if number % 10 == 0 else len(whole)
        yield bytes(whole[:cut])
