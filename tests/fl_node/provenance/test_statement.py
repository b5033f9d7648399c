"""The statement that is signed: one spelling, pinned by a vector."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.types import Address
from fl_node.blobs.canonical import canonical_json
from fl_node.errors import StatementInvalid
from fl_node.provenance.claim import Claim
from fl_node.provenance.statement import (
    MAX_STATEMENT_BYTES,
    Statement,
    read_statement,
    statement_to_json,
)

VECTOR = Path(__file__).parents[2] / "vectors" / "statement.json"
WORDS = st.binary(min_size=32, max_size=32)
STATEMENTS = st.builds(
    Statement,
    name=st.from_regex(r"[\w.-]{1,40}", fullmatch=True).filter(str.isascii),
    file_digest=WORDS,
    claim=st.builds(
        Claim,
        chain_id=st.integers(1, 2**32),
        contract=st.just(Address("0x279cD4a5bAdE3F7833aE9Dd311dF38c73bE37Fec")),
        task=st.integers(1, 2**256 - 1),
        round=st.integers(0, 2**32 - 1),
        model_digest=WORDS,
        history_head=WORDS,
    ),
)


def test_the_bytes_are_those_of_the_vector(statement: Statement) -> None:
    assert statement_to_json(statement) == VECTOR.read_bytes()
    assert read_statement(VECTOR.read_bytes()) == statement


@given(STATEMENTS)
def test_what_is_written_is_read(statement: Statement) -> None:
    assert read_statement(statement_to_json(statement)) == statement


def test_it_is_of_the_form_that_the_specifications_ask_for(statement: Statement) -> None:
    written = json.loads(statement_to_json(statement))
    assert written["_type"] == "https://in-toto.io/Statement/v1"
    assert written["predicateType"] == "https://model_signing/signature/v1.0"
    assert written["predicate"]["resources"][0]["digest"] == statement.file_digest.hex()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("_type",), "https://in-toto.io/Statement/v0.1"),
        (("predicateType",), "https://slsa.dev/provenance/v1"),
        (("extra",), 1),
        (("subject",), []),
        (("subject", 0, "name"), ""),
        (("subject", 0, "name"), "a\x1b[2J"),
        (("subject", 0, "name"), "a" * 256),
        (("subject", 0, "digest", "sha256"), "00" * 32),
        (("predicate",), None),
        (("predicate", "ganchor"), None),
        (("predicate", "ganchor", "round"), -1),
        (("predicate", "ganchor", "round"), True),
        (("predicate", "ganchor", "task"), "0x1"),
        (("predicate", "ganchor", "history_head"), "0x02"),
        (("predicate", "ganchor", "model_digest"), "0x" + "AB" * 32),
        (("predicate", "ganchor", "contract"), "0x" + "ab" * 20),
        (("predicate", "ganchor", "note"), "trust me"),
        (("predicate", "resources"), []),
        (("predicate", "resources", 0, "name"), "../else"),
        (("predicate", "resources", 0, "algorithm"), "md5"),
        (("predicate", "resources", 0, "digest"), 7),
        (("predicate", "serialization", "allow_symlinks"), True),
        (("predicate", "serialization", "ignore_paths"), ["model.safetensors"]),
    ],
    ids=str,
)
def test_another_value_is_refused(
    statement: Statement, path: tuple[str | int, ...], value: object
) -> None:
    written = json.loads(statement_to_json(statement))
    inner: Any = written
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(StatementInvalid):
        read_statement(canonical_json(written))


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 5000, b" " * (MAX_STATEMENT_BYTES + 1)],
    ids=lambda content: repr(content[:8]),
)
def test_something_else_is_refused(content: bytes) -> None:
    with pytest.raises(StatementInvalid):
        read_statement(content)


def test_another_spelling_is_refused(statement: Statement) -> None:
    spaced = json.dumps(json.loads(statement_to_json(statement))).encode()
    with pytest.raises(StatementInvalid, match="spelt"):
        read_statement(spaced)


def test_equal_statements_give_equal_bytes_and_others_do_not(statement: Statement) -> None:
    assert statement_to_json(statement) == statement_to_json(replace(statement))
    assert statement_to_json(statement) != statement_to_json(replace(statement, name="other"))
