"""Sealed updates: they say nothing before the salt is known, and one thing after it."""

from __future__ import annotations

import hashlib
import hmac

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from fl_node.blobs.model import encode_model
from fl_node.blobs.sealed import MAGIC, is_sealed, seal, unseal
from fl_node.blobs.tensors import MAX_HEADER_BYTES, decode_tensors
from fl_node.errors import BlobMalformed

SALT, OTHER = bytes(range(32)), bytes(32)
BLOB = encode_model({"w": np.arange(1000, dtype=np.float32)})

salts = st.binary(min_size=32, max_size=32)


@given(st.binary(max_size=100), salts)
def test_what_was_sealed_opens_with_its_salt(blob: bytes, salt: bytes) -> None:
    sealed = seal(blob, salt)
    assert len(sealed) == len(MAGIC) + len(blob)
    assert unseal(sealed, salt) == blob


def test_the_key_is_hkdf_of_the_salt() -> None:
    """By RFC 5869: extract without a salt of its own, then one block."""
    extracted = hmac.digest(bytes(32), SALT, hashlib.sha256)
    key = hmac.digest(extracted, b"ganchor-sealed-update\x01", hashlib.sha256)
    cipher = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    assert seal(BLOB, SALT) == b"ganchor\x01" + cipher.update(BLOB)


def test_a_plain_blob_is_itself_whatever_the_salt() -> None:
    assert not is_sealed(BLOB)
    assert unseal(BLOB, SALT) == BLOB


def test_a_plain_blob_cannot_begin_like_a_sealed_one() -> None:
    assert int.from_bytes(MAGIC, "little") > MAX_HEADER_BYTES


def test_what_is_opened_cannot_be_written_to() -> None:
    assert unseal(bytearray(BLOB), SALT).readonly
    assert unseal(seal(BLOB, SALT), SALT).readonly


def test_another_salt_opens_noise_which_is_no_blob() -> None:
    with pytest.raises(BlobMalformed):
        decode_tensors(unseal(seal(BLOB, SALT), OTHER))


def test_a_seal_within_a_seal_is_not_opened() -> None:
    twice = seal(seal(BLOB, SALT), SALT)
    assert is_sealed(unseal(twice, SALT))
    with pytest.raises(BlobMalformed):
        decode_tensors(unseal(twice, SALT))


@pytest.mark.parametrize("length", range(len(MAGIC)))
def test_a_blob_shorter_than_the_magic_is_plain(length: int) -> None:
    assert unseal(MAGIC[:length], SALT) == MAGIC[:length]


def test_the_sealed_bytes_look_like_noise() -> None:
    """Zeros are what a careless cipher would show."""
    sealed = np.frombuffer(seal(bytes(1 << 16), SALT)[len(MAGIC) :], np.uint8)
    assert np.unpackbits(sealed).mean() == pytest.approx(0.5, abs=0.01)
    assert len({sealed[at : at + 16].tobytes() for at in range(0, sealed.size, 16)}) == 1 << 12
