"""Whatever form a node gives a revert in, it becomes the error of its reason."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from chain import errors
from chain.artifact import load_artifact
from chain.errors import CallRejected, RoundMismatch, UnknownRejection
from chain.rejections import rejection_from
from chain.types import Phase

ADDRESS = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
SAMPLES = {"address": ADDRESS, "bytes32": b"\7" * 32}
ABI_ERRORS = [
    item
    for item in load_artifact().abi
    if item["type"] == "error" and hasattr(errors, item["name"])
]


def encoded(name: str, types: list[str], values: list[Any]) -> bytes:
    return keccak(text=f"{name}({','.join(types)})")[:4] + encode(types, values)


ROUND_MISMATCH = encoded("RoundMismatch", ["uint16", "uint16"], [3, 4])


@pytest.mark.parametrize("item", ABI_ERRORS, ids=lambda item: str(item["name"]))
def test_every_error_of_the_contract_is_known(item: dict[str, Any]) -> None:
    types = [part["type"] for part in item["inputs"]]
    values = [SAMPLES.get(kind, 2) for kind in types]
    rejection = rejection_from(encoded(item["name"], types, values))
    assert type(rejection).__name__ == item["name"]
    assert list(vars(rejection).values()) == values


def test_no_error_of_ours_is_missing_from_the_contract() -> None:
    ours = {cls.__name__ for cls in CallRejected.__subclasses__()} - {"UnknownRejection"}
    assert ours == {item["name"] for item in ABI_ERRORS}


def test_phases_are_phases() -> None:
    rejection = rejection_from(encoded("PhaseMismatch", ["uint8", "uint8"], [1, 3]))
    assert rejection == errors.PhaseMismatch(Phase.COMMIT, Phase.ATTEST)
    assert all(isinstance(getattr(rejection, f.name), Phase) for f in fields(errors.PhaseMismatch))


@pytest.mark.parametrize(
    "answer",
    [
        ROUND_MISMATCH,
        "0x" + ROUND_MISMATCH.hex(),
        "Reverted 0x" + ROUND_MISMATCH.hex(),
        {"data": "0x" + ROUND_MISMATCH.hex()},
        {"message": "reverted", "data": {"result": "0x" + ROUND_MISMATCH.hex(), "reason": None}},
    ],
)
def test_every_form_that_nodes_give_it_in(answer: object) -> None:
    assert rejection_from(answer) == RoundMismatch(3, 4)


@pytest.mark.parametrize(
    ("answer", "message", "reason"),
    [
        (None, "", "reverted without a reason"),
        ("0x", "out of luck", "out of luck"),
        ("no data", "out of luck", "out of luck"),
        ("0xzz", "", "reverted without a reason"),
        (encoded("Error", ["string"], ["too bad"]), "", "too bad"),
        (encoded("Panic", ["uint256"], [0x11]), "", "panic 0x11"),
        (b"\1\2\3\4", "", "an error that this version does not know: 0x01020304"),
        (
            ROUND_MISMATCH[:-1],
            "",
            f"revert data that does not decode: 0x{ROUND_MISMATCH[:-1].hex()}",
        ),
    ],
)
def test_other_reverts_say_what_is_known(answer: object, message: str, reason: str) -> None:
    assert rejection_from(answer, message) == UnknownRejection(reason)


@given(
    st.sampled_from(
        [b"", ROUND_MISMATCH[:4], bytes.fromhex("08c379a0"), bytes.fromhex("4e487b71")]
    ),
    st.binary(max_size=200),
)
def test_no_bytes_of_a_node_break_the_decoder(start: bytes, rest: bytes) -> None:
    assert isinstance(rejection_from(start + rest), CallRejected)
