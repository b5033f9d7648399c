"""Living off another member's work."""

from __future__ import annotations

from dataclasses import replace

import pytest
from doubles import MEMBERS, Federation
from hostile import (
    HONEST_NODES,
    Stage,
    arrays_of,
    audit_of,
    commit_to,
    goes_on,
    header_of,
    last_final,
    reveal_as_attacker,
    send,
    step_honest,
    verdict_on_attacker,
)

from chain.errors import CommitmentMismatch, NotAwaited, PhaseMismatch
from chain.types import Phase
from fl_node.blobs.digest import digest_of
from fl_node.blobs.encoding import decode_update, encode_update
from fl_node.member.next_action import Action


def stolen(federation: Federation) -> bytes:
    """The first member's update before anyone reveals: from a break-in, because the ledger does not show it."""
    step_honest(federation, Action.COMMIT)
    (path,) = (federation.folder / HONEST_NODES[0]).glob("round-*/update.blob")
    return path.read_bytes()


def test_copy_a_commitment(stage: Stage) -> None:
    """1. What opens a commitment for its author does not open it for a copier."""
    stage.commit(0, 1)
    stage.members[2].commit(stage.task, 1, stage.commitment(0))
    stage.reveal(0)
    with pytest.raises(CommitmentMismatch):
        stage.members[2].reveal(stage.task, 1, stage.opening(0))


def test_commit_after_the_first_reveal(stage: Stage) -> None:
    """2. Nothing can be committed to once anything is revealed."""
    stage.commit(0, 1)
    stage.let_deadline_pass()
    stage.stranger.advance(stage.task)
    stage.reveal(0)
    with pytest.raises(PhaseMismatch) as caught:
        stage.members[2].commit(stage.task, 1, stage.commitment(0))
    assert caught.value == PhaseMismatch(Phase.COMMIT, Phase.REVEAL)


def test_reveal_without_a_commitment(stage: Stage) -> None:
    """2. Who did not commit has nothing to open."""
    stage.commit(0, 1)
    stage.let_deadline_pass()
    stage.stranger.advance(stage.task)
    with pytest.raises(NotAwaited):
        stage.members[2].reveal(stage.task, 1, stage.opening(2))


def test_reveal_something_else_than_committed_to(stage: Stage) -> None:
    """2. Seeing the others' reveals first helps nobody: the commitment binds every field."""
    stage.commit(0, 1, 2)
    stage.reveal(0, 1)
    honest = stage.opening(2)
    for changed in (
        replace(honest, update_digest=stage.opening(0).update_digest),
        replace(honest, num_examples=honest.num_examples + 1),
        replace(honest, training_loss=0),
        replace(honest, held_out_loss=0),
        replace(honest, salt=bytes(32)),
    ):
        with pytest.raises(CommitmentMismatch):
            stage.members[2].reveal(stage.task, 1, changed)


def test_open_a_commitment_of_an_earlier_round(stage: Stage) -> None:
    """2. A commitment binds its round, although its slot in the contract is still there."""
    old = stage.commitment(2)
    stage.commit(0, 1, 2)
    stage.reveal(0, 1, 2)
    stage.attest(0, 1)
    assert stage.state.round == 2
    stage.commit(0, 1)
    stage.members[2].commit(stage.task, 2, old)
    with pytest.raises(CommitmentMismatch):
        stage.members[2].reveal(stage.task, 2, stage.opening(2))


def test_submit_the_digest_of_another(federation: Federation, undisturbed: bytes) -> None:
    """1. The author's blob says whose it is, so that the copier is left out and the author is not."""
    blob = stolen(federation)
    opening = commit_to(federation, digest_of(blob), decode_update(blob).header.num_examples)
    reveal_as_attacker(federation, opening)
    step_honest(federation, Action.REVEAL)
    step_honest(federation, Action.ATTEST)
    final = last_final(federation)
    assert (final.included, final.aggregate_digest) == (0b011, undisturbed)
    assert goes_on(federation)
    report = audit_of(federation)
    assert report.verdict == "clean"
    assert str(verdict_on_attacker(report).left_out_because).startswith("client: ")


@pytest.mark.parametrize("author_first", [True, False])
def test_submit_the_content_of_another_as_ones_own(
    federation: Federation, author_first: bool
) -> None:
    """1. The same arrays under the copier's own header count once: for whoever reveals first."""
    author = decode_update(stolen(federation))
    copy = encode_update(
        header_of(federation, num_examples=author.header.num_examples), author.arrays
    )
    opening = commit_to(federation, digest_of(copy), author.header.num_examples)
    federation.store.put(copy)
    if not author_first:
        reveal_as_attacker(federation, opening)
    step_honest(federation, Action.REVEAL)
    if author_first:
        reveal_as_attacker(federation, opening)
    step_honest(federation, Action.ATTEST)
    assert last_final(federation).included == (0b011 if author_first else 0b110)
    report = audit_of(federation)
    assert report.verdict == "clean"
    reasons = [update.left_out_because for update in report.rounds[0].updates]
    assert sum(str(reason).startswith("repeat: ") for reason in reasons) == 1


def test_send_the_update_of_an_earlier_round_again(federation: Federation) -> None:
    """1. Once is all that an update counts, for its own author too."""
    blob = encode_update(header_of(federation), arrays_of(federation))
    assert send(federation, blob).included == 0b111
    assert send(federation, blob).included == 0b011
    report = audit_of(federation)
    assert report.verdict == "clean"
    assert str(verdict_on_attacker(report).left_out_because).startswith("round: ")


def test_copy_what_an_aborted_attempt_made_public(federation: Federation) -> None:
    """2. Reveals of an aborted attempt stay public: who commits to another's content in the next one is left out."""
    nodes = [federation.start(member) for member in MEMBERS]
    for _ in range(2):
        for node in nodes:
            node.step()
    for number, member in enumerate(MEMBERS):
        federation.ledger.acting_as(member).attest(federation.task, 1, bytes([number + 1] * 32), 1)
    state = federation.ledger.task_state(federation.task)
    assert (state.phase, state.round, state.attempt) == (Phase.COMMIT, 1, 1)
    author = decode_update(stolen(federation))
    copy = encode_update(
        header_of(federation, num_examples=author.header.num_examples), author.arrays
    )
    opening = commit_to(federation, digest_of(copy), author.header.num_examples)
    federation.store.put(copy)
    reveal_as_attacker(federation, opening)
    step_honest(federation, Action.REVEAL)
    step_honest(federation, Action.ATTEST)
    assert last_final(federation).included == 0b011
    report = audit_of(federation)
    assert report.verdict == "clean"
    assert str(verdict_on_attacker(report).left_out_because).startswith("repeat: ")
