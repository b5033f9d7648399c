"""The act on the wire: one object of JSON, read with care."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from doubles import MODEL
from hypothesis import given, settings
from hypothesis import strategies as st
from relaying import Town

from chain.abi import encode_call
from chain.errors import ActInvalid
from chain.relay.outcome import WAITING, Outcome, Status, outcome_to_json, read_outcome
from chain.relay.submission import (
    MAX_BODY_BYTES,
    Submission,
    read_submission,
    submission_to_json,
)

TOWN = Town()
COMMIT = TOWN.commit_act(0)


def changed(**fields: Any) -> bytes:
    return json.dumps(json.loads(submission_to_json(COMMIT)) | fields).encode()


def with_call(function: str, *arguments: Any, more: bytes = b"") -> bytes:
    return changed(call="0x" + (encode_call(function, arguments) + more).hex())


@pytest.mark.parametrize(
    "submission",
    [
        COMMIT,
        TOWN.signed(1, "skip"),
        TOWN.reveal_act(2),
        TOWN.vote_act(0),
        TOWN.signed(0, "rejoin"),
        TOWN.signed(0, "advance"),
    ],
    ids=lambda submission: submission.function,
)
def test_what_is_sent_is_read(submission: Submission):
    body = submission_to_json(submission)
    assert read_submission(body) == submission
    assert len(body) < MAX_BODY_BYTES / 4
    assert submission.is_signed(TOWN.ledger.chain_id, TOWN.ledger.contract)


def test_a_signature_is_for_one_chain_contract_round_and_attempt():
    where = (TOWN.ledger.chain_id, TOWN.ledger.contract)
    assert not COMMIT.is_signed(where[0] + 1, where[1])
    assert not COMMIT.is_signed(where[0], COMMIT.act.member)
    assert not replace(COMMIT, round=2).is_signed(*where)
    assert not replace(COMMIT, attempt=1).is_signed(*where)


def test_an_act_is_named_by_what_it_does_and_not_by_its_signature():
    resigned = replace(COMMIT, act=replace(COMMIT.act, r=bytes(32)))
    assert resigned.id == COMMIT.id
    others = [replace(COMMIT, round=2), replace(COMMIT, attempt=1), replace(COMMIT, task=2)]
    others += [TOWN.commit_act(1), TOWN.signed(0, "commit", MODEL)]
    assert len({other.id for other in others} | {COMMIT.id}) == 6


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "Expecting value"),
        (b"[]", "expected an object"),
        (b"{}", "expected an object with the fields"),
        (b"[" * 3000, "nested"),
        (b" " * (MAX_BODY_BYTES + 1), "at most"),
        (changed(more=1), "expected an object with the fields"),
        (changed(task=-1), "expected a number"),
        (changed(task=1.0), "expected a number"),
        (changed(round=1 << 16), "expected a number"),
        (changed(attempt=True), "expected a number"),
        (changed(member="0x00"), "expected an address"),
        (changed(r="0x00"), "expected 32 bytes"),
        (changed(vs=7), "expected bytes in hex"),
        (changed(call="0x"), "a call of commit, skip, reveal, attest, rejoin was expected"),
        (changed(call="0x12345678"), "a call of"),
        (with_call("taskCount"), "a call of"),
        (with_call("advance", 2), "a call of"),
        (with_call("commit", 2, 1, MODEL), "another task or round"),
        (with_call("commit", 1, 2, MODEL), "another task or round"),
        (with_call("rejoin", 2), "another task or round"),
        (with_call("commit", 1, 1, MODEL, more=bytes(32)), "bytes that say nothing"),
    ],
)
def test_what_is_no_act_is_refused(body: bytes, why: str):
    with pytest.raises(ActInvalid, match=why):
        read_submission(body)


def test_a_batch_is_no_act():
    """A relay that carried the relay's own function would carry whatever is in it."""
    act = COMMIT.act
    batch = encode_call("relay", (1, [(act.member, act.call, act.r, act.vs)]))
    with pytest.raises(ActInvalid, match="a call of"):
        read_submission(changed(call="0x" + batch.hex()))


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_or_read(body: bytes):
    try:
        read_submission(body)
    except ActInvalid:
        return
    raise AssertionError("random bytes were taken for an act")


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=260))
def test_any_call_is_refused_or_read(call: bytes):
    try:
        submission = read_submission(changed(call="0x" + call.hex()))
    except ActInvalid:
        return
    assert submission.act.call == call


@pytest.mark.parametrize(
    "outcome",
    [WAITING, Outcome(Status.POSTED, bytes(32)), Outcome(Status.REFUSED, reason="no")],
    ids=lambda outcome: outcome.status.value,
)
def test_an_outcome_is_told_and_read(outcome: Outcome):
    assert read_outcome(outcome_to_json(bytes(32), outcome)) == outcome


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"status": "perhaps"}', b'{"status":"posted","transaction":"0x1"}'],
)
def test_what_is_no_outcome_is_refused(body: bytes):
    with pytest.raises(ValueError):
        read_outcome(body)


def test_a_relays_words_are_shown_without_control_characters():
    answer = json.dumps({"status": "refused", "reason": "\x1b[2Jall is well"}).encode()
    assert read_outcome(answer).reason == "\\x1b[2Jall is well"
