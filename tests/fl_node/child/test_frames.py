"""Messages between parent and child, and the frames in which they travel."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quadratic import same_bits

from fl_node.blobs.tensors import encode_tensors
from fl_node.child.frames import (
    LENGTH_BYTES,
    SMALL,
    Message,
    frame_of,
    message_of,
    read_frame,
    write_frame,
)
from fl_node.errors import BlobMalformed, Misuse

ARRAYS = {
    "a.b": np.arange(6, dtype=np.float32).reshape(2, 3),
    "c": np.array(7),
    "half": np.ones(3, np.float16),
}


def blob_of(message: Message) -> bytes:
    return b"".join(frame_of(message))[LENGTH_BYTES:]


def equal(one: Message, other: Message) -> bool:
    return (
        one.says == other.says
        and one.groups.keys() == other.groups.keys()
        and all(same_bits(one.groups[name], other.groups[name]) for name in one.groups)
    )


names = st.text(min_size=1, max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), 1 << 63) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(names, values, max_size=4),
    st.dictionaries(
        st.sampled_from(["model", "private", "genesis"]),
        st.dictionaries(
            names.filter("__metadata__".__ne__), st.sampled_from(list(ARRAYS.values()))
        ),
    ),
)
def test_a_message_comes_back_as_it_was(says: Any, groups: Any) -> None:
    message = Message(says, groups)
    assert equal(message_of(blob_of(message)), message)


def test_names_keep_their_dots_and_empty_groups_stay_groups() -> None:
    message = message_of(blob_of(Message({}, {"model": ARRAYS, "private": {}})))
    assert set(message.groups["model"]) == set(ARRAYS)
    assert message.groups["private"] == {}


def test_weights_are_neither_copied_to_be_sent_nor_when_they_are_read() -> None:
    array = np.zeros(1000, np.float32)
    sent = frame_of(Message({}, {"model": {"w": array}}))
    assert np.shares_memory(np.frombuffer(sent[-1], np.uint8), array)
    blob = np.frombuffer(b"".join(sent)[LENGTH_BYTES:], np.uint8)
    assert np.shares_memory(message_of(blob.data).groups["model"]["w"], blob)


def test_what_is_read_cannot_be_written_to() -> None:
    read = message_of(blob_of(Message({}, {"model": ARRAYS})))
    assert not read.groups["model"]["c"].flags.writeable


def test_a_message_without_arrays_is_small() -> None:
    assert len(blob_of(Message({"failed": "Misuse", "why": "\u202e" * 2000}))) < SMALL


@pytest.mark.parametrize("array", [np.zeros(0), np.array(["a"]), np.array([True]), np.array([1j])])
def test_arrays_that_no_blob_can_hold_are_refused(array: Any) -> None:
    with pytest.raises(Misuse, match="cannot be stored"):
        frame_of(Message({}, {"model": {"x": array}}))


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\0" * 8,
        encode_tensors(ARRAYS),
        encode_tensors({}, ""),
        encode_tensors({}, "[]"),
        encode_tensors({}, '{"groups":[]}'),
        encode_tensors({}, '{"groups":[],"says":[]}'),
        encode_tensors({}, '{"groups":{},"says":{}}'),
        encode_tensors({}, '{"groups":[1],"says":{}}'),
        encode_tensors({}, '{"groups":[],"says":{"x":1e99}}'),
        encode_tensors({}, '{"groups":[],"says":{"x":' + "[" * 50 + "]" * 50 + "}}"),
        encode_tensors({"model": np.ones(1)}, '{"groups":["model"],"says":{}}'),
        encode_tensors({"other.w": np.ones(1)}, '{"groups":["model"],"says":{}}'),
    ],
)
def test_what_is_no_message_is_refused(blob: bytes) -> None:
    with pytest.raises(BlobMalformed):
        message_of(blob)


def test_frames_pass_through_a_pipe_one_after_the_other_until_it_ends() -> None:
    reading, writing = os.pipe()
    messages = [
        Message({"number": number}, {"model": {"w": np.zeros(1 << 18)}}) for number in range(3)
    ]

    def write() -> None:
        for message in messages:
            write_frame(writing, frame_of(message))
        os.write(writing, (1000).to_bytes(LENGTH_BYTES, "little") + b"half")
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    for message in messages:
        blob = read_frame(reading)
        assert blob is not None
        assert equal(message_of(blob), message)
    assert read_frame(reading) is None
    writer.join()
    os.close(reading)
