"""Cases of `audit`: clean histories, and one lie for each way that a step can find one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cases.case import Case, case_of
from cases.heads import eventful
from cases.history import LATE, History
from cases.samples import (
    ALICE,
    BOB,
    CAROL,
    STRANGER,
    everyone,
    history_of,
    manifest_of,
    model,
    moved,
    played,
)
from chain.types import (
    AggregateAttested,
    AttestOpened,
    Entry,
    MembersMissed,
    RevealOpened,
    RoundFinalised,
    RoundOpened,
    RoundSkipped,
    TaskFinished,
    TaskOpened,
    UpdateCommitted,
    UpdateRevealed,
)
from fl_node.arrays import Arrays
from fl_node.blobs.model import encode_model
from fl_node.blobs.tensors import encode_tensors

STEPS = ("A2", "A3", "A4", "A5", "A6", "A7", "A8")
TWO = {"count": 2}
BLOBS = ("A5", "A6", "A7")
Found = Sequence[tuple[str, int]]


def cases() -> Iterator[Case]:
    """The verb's cases."""
    yield from _clean()
    yield from _incomplete()
    yield from _against_the_rules()
    yield from _disagreeing()
    yield from _damaged()
    yield from _misjudged()
    yield from _miscounted()
    yield from _unconnected()


def _case(
    name: str, history: History, findings: Found = (), not_reached: Sequence[str] = (), **log: Any
) -> Case:
    found = {step: "findings" for step, _ in findings}
    steps: Mapping[str, str] = {
        **dict.fromkeys(STEPS, "clean"),
        **dict.fromkeys(not_reached, "not reached"),
        **found,
    }
    case = case_of("audit", f"{name}_fail" if findings else name, history, {}, **log)
    expected = {
        "steps": steps,
        "findings": sorted(list(one) for one in findings),
        "final_digest": case.state["view"]["parent_digest"],
    }
    return replace(case, expected=expected)


# ------------------------------------------------------------------------------------ clean


def _clean() -> Iterator[Case]:
    yield _case("one_round", played(history_of()))
    yield _case("every_event", eventful())
    yield _case("just_opened", history_of(), not_reached=BLOBS)
    running = history_of(manifest_of(rounds=TWO))
    running.play(everyone(running))
    running.commit({ALICE: everyone(running)[ALICE]}, missing=[BOB, CAROL])
    yield _case("running", running)
    declined = history_of()
    declined.commit({})
    yield _case("all_declined", declined)
    yield _case("scaffold", played(history_of(manifest_of("scaffold", rounds=TWO))))
    yield _case("another_chain", played(history_of(chain_id=1)))
    half = {"cohort_fraction": "0.5", "count": 3}
    six = manifest_of(who=(ALICE, BOB, CAROL, STRANGER), rounds=half)
    yield _case("cohorts_of_two_in_four", played(history_of(six)))
    yield _case("one_left_out_and_missing", _one_missing())
    copied = history_of()
    copied.play({**everyone(copied), BOB: copied.update(BOB, moved(copied, ALICE))})
    yield _case("copy_left_out", copied)
    lost = _of_two_attempts()
    yield _case("update_of_an_aborted_attempt_missing", lost)


def _one_missing() -> History:
    history = history_of()
    sent = everyone(history)
    history.play({**sent, BOB: replace(sent[BOB], lies=None)})
    return history


def _of_two_attempts() -> History:
    history = history_of()
    sent = everyone(history)
    history.send({**sent, ALICE: replace(sent[ALICE], lies=None)})
    history.abort()
    history.play({**sent, ALICE: history.update(ALICE, moved(history, ALICE, size=0.5))})
    return history


# ------------------------------------------------------------------------------------ A2


def _incomplete() -> Iterator[Case]:
    history = played(history_of())
    head = history.state.history_head
    log = history.entries
    yield _case("head_of_nothing", history, [("A2", 0)], history_head=bytes(32))
    votes = [entry for entry in log if isinstance(entry.event, AggregateAttested)]
    shorter = [entry for entry in log if entry is not votes[0]]
    after = [("A2", 0), ("A3", 1)]
    yield _case("vote_missing", history, after, entries=shorter, history_head=head)
    yield _case("end_missing", history, [("A2", 0), ("A3", 0)], entries=log[:-1], history_head=head)
    later = replace(log[-1], block_number=log[-1].block_number + 1)
    added = [("A2", 0), ("A3", 0)]
    yield _case("end_twice", history, added, entries=[*log, later], history_head=head)
    none = [("A2", 0), ("A4", 0), ("A8", 0)]  # No log shows no members either.
    yield _case("no_log", history, none, BLOBS, entries=(), history_head=head)
    loss = _changed(log, UpdateRevealed, training_loss=0)
    yield _case("loss_altered", history, after, entries=loss, history_head=head)


# ------------------------------------------------------------------------------------ A3


def _against_the_rules() -> Iterator[Case]:
    """Logs that lead to their head, of calls that the contract would have refused."""
    history = played(history_of())
    log = history.entries

    def forged(name: str, entries: Sequence[Entry], round: int = 1, *others: Any) -> Case:
        return _case(name, history, [("A3", round), *others], entries=entries)

    yield forged("stranger_commits", _changed(log, UpdateCommitted, client=STRANGER))
    yield forged("committed_twice", _repeated(log, UpdateCommitted))
    yield forged("committed_to_nothing", _changed(log, UpdateCommitted, commitment=bytes(32)))
    yield forged("committed_in_another_round", _changed(log, UpdateCommitted, round=2), 2)
    yield forged("opened_what_was_not_committed", _changed(log, UpdateRevealed, held_out_loss=1))
    none = _changed(log, UpdateRevealed, num_examples=0)
    yield forged("no_examples", none, 1, ("A6", 1), ("A7", 1))
    yield forged("another_seed", _changed(log, RoundOpened, seed=bytes(32)))
    yield forged("another_cohort", _changed(log, RoundOpened, cohort=0b011))
    yield forged("another_attempt", _changed(log, RoundOpened, attempt=1))
    deadline = next(e.event.deadline for e in log if isinstance(e.event, RoundOpened))
    yield forged("another_deadline", _changed(log, RoundOpened, deadline=deadline + 1))
    yield forged("fewer_committed", _changed(log, RevealOpened, committed=0b011))
    yield forged("fewer_attesters", _changed(log, AttestOpened, attesters=0b011))
    yield forged("voted_for_who_did_not_reveal", _changed(log, AggregateAttested, included=0b1111))
    yield forged("voted_for_nothing", _changed(log, AggregateAttested, aggregate_digest=bytes(32)))
    yield forged("voted_twice", _second_vote_by_the_first(log))
    yield forged("final_without_a_quorum", _without(log, AggregateAttested))
    yield forged("declined_and_committed", _declined_first(log))
    yield forged("committed_too_late", _later(log, UpdateCommitted, LATE))
    yield forged(
        "finished_with_another_model", _changed(log, TaskFinished, final_digest=bytes(32)), 0
    )
    yield forged("opened_twice", [log[0], *_moved_on(log)], 0)
    yield forged("opened_by_members_out_of_order", _disordered(log), 0, ("A4", 0))
    yield from _missed()


def _missed() -> Iterator[Case]:
    history = eventful()
    log = history.entries

    def forged(name: str, entries: Sequence[Entry], round: int = 1) -> Case:
        return _case(name, history, [("A3", round)], entries=entries)

    yield forged("others_missed", _changed(log, MembersMissed, missed=0b011))
    yield forged("advanced_too_early", _later(log, MembersMissed, -LATE))


def _first(log: Sequence[Entry], kind: type[Any]) -> int:
    return next(at for at, entry in enumerate(log) if isinstance(entry.event, kind))


def _changed(log: Sequence[Entry], kind: type[Any], **changes: Any) -> list[Entry]:
    """The log with other values in the first event of a kind; of a reveal, in its opening."""
    at = _first(log, kind)
    event = log[at].event
    if isinstance(event, UpdateRevealed):
        changes = {"reveal": replace(event.reveal, **changes)}
    return [*log[:at], replace(log[at], event=replace(event, **changes)), *log[at + 1 :]]


def _without(log: Sequence[Entry], kind: type[Any]) -> list[Entry]:
    at = _first(log, kind)
    return [*log[:at], *log[at + 1 :]]


def _moved_on(log: Sequence[Entry]) -> list[Entry]:
    """The log a block later."""
    return [replace(entry, block_number=entry.block_number + 1) for entry in log]


def _repeated(log: Sequence[Entry], kind: type[Any]) -> list[Entry]:
    at = _first(log, kind)
    return [*log[: at + 1], *_moved_on(log[at:])]


def _later(log: Sequence[Entry], kind: type[Any], seconds: int) -> list[Entry]:
    """The log in which the first event of a kind has another time, which no head covers."""
    at = _first(log, kind)
    when = log[at].timestamp + seconds
    block = log[at].block_number
    return [
        replace(entry, timestamp=when) if entry.block_number == block else entry for entry in log
    ]


def _declined_first(log: Sequence[Entry]) -> list[Entry]:
    at = _first(log, UpdateCommitted)
    declined = replace(log[at], event=RoundSkipped(1, 1, ALICE))
    return [*log[:at], declined, *_moved_on(log[at:])]


def _second_vote_by_the_first(log: Sequence[Entry]) -> list[Entry]:
    voters = [at for at, entry in enumerate(log) if isinstance(entry.event, AggregateAttested)]
    first, second = (log[at].event for at in voters[:2])
    again = replace(second, client=first.client)  # type: ignore[union-attr,type-var,call-arg]
    return [*log[: voters[1]], replace(log[voters[1]], event=again), *log[voters[1] + 1 :]]


def _disordered(log: Sequence[Entry]) -> list[Entry]:
    """Bob before Alice; what follows is as it was."""
    return _changed(log, TaskOpened, members=(BOB, ALICE, CAROL))


# ------------------------------------------------------------------------------------ A4


def _disagreeing() -> Iterator[Case]:
    def without(name: str, change: Callable[[History], None]) -> Case:
        history = played(history_of())
        change(history)
        return _case(name, history, [("A4", 0)], BLOBS)

    yield without("manifest_missing", lambda h: h.blobs.pop(_manifest(h)) and None)
    yield without(
        "manifest_tampered", lambda h: _put(h, _manifest(h), h.blobs[_manifest(h)] + b" ")
    )
    yield without("genesis_missing", lambda h: h.blobs.pop(_genesis(h)) and None)
    yield without("genesis_tampered", lambda h: _put(h, _genesis(h), _bitten(h.blobs[_genesis(h)])))
    for name, change in (
        ("manifest_with_a_space", lambda blob: blob.replace(b'{"data"', b'{ "data"')),
        ("manifest_with_another_format", lambda blob: blob.replace(b'"format":3', b'"format":2')),
        ("manifest_that_is_none", lambda blob: b"[]"),
        ("manifest_with_a_fraction", lambda blob: blob.replace(b'"seed":5', b'"seed":5.0')),
        ("manifest_with_a_field_missing", lambda blob: blob.replace(b'"seed":5,', b"")),
        (
            "manifest_with_a_field_twice",
            lambda blob: blob.replace(b'"seed":5', b'"seed":5,"seed":5'),
        ),
    ):
        yield _of_blobs(name, manifest=change)
    noted = encode_tensors(model(), note="{}")
    yield _of_blobs("genesis_with_metadata", genesis=lambda blob: noted)
    yield _of_blobs("genesis_of_no_weights", genesis=lambda blob: encode_model({"n": np.array(1)}))
    momentum = manifest_of({"combine": "momentum"})
    yield _of_blobs("genesis_without_a_slot", momentum, genesis=lambda blob: encode_model(model()))
    slot = {"server.momentum.head.bias": np.zeros(5, np.float32)}
    more = encode_model({**model(), **slot})
    yield _of_blobs("genesis_with_a_slot_too_many", genesis=lambda blob: more)
    average = encode_model({"generator.w": np.ones(2, np.float32),
                            "generator_ema.v": np.ones(2, np.float32)})  # fmt: skip
    gan = manifest_of(learner="gan")
    yield _of_blobs("genesis_with_an_average_of_nothing", gan, genesis=lambda blob: average)
    yield from _on_chain()


def _on_chain() -> Iterator[Case]:
    manifest = manifest_of()
    others = replace(manifest.terms(), attest_window=121)
    yield _case("other_terms", played(history_of(manifest, terms=others)), [("A4", 0)])
    more = history_of(manifest, members=(ALICE, BOB, CAROL, STRANGER))
    sent = everyone(more)
    more.play({client: sent[client] for client in (ALICE, BOB, CAROL)})
    yield _case("other_members", more, [("A4", 0)])
    history = played(history_of(manifest))
    first, second, *rest = history.entries
    log = [replace(first, event=second.event), replace(second, event=first.event), *rest]
    both = [("A3", 1), ("A4", 0)]
    yield _case("opened_by_the_second_event", history, both, entries=log)


def _of_blobs(
    name: str,
    manifest: Any = None,
    genesis: Callable[[bytes], bytes] = lambda blob: blob,
) -> Case:
    """A task opened with digests of other blobs, in which everybody declines."""
    given = manifest_of() if manifest is None or callable(manifest) else manifest
    change = manifest if callable(manifest) else lambda blob: blob
    right = history_of(given, _first_model(given))
    blobs = [change(given.to_bytes()), genesis(encode_model(right.genesis))]
    assert blobs != [given.to_bytes(), encode_model(right.genesis)]
    history = History(given, right.genesis, opened_with=blobs)
    history.commit({})
    return _case(name, history, [("A4", 0)], BLOBS)


def _first_model(manifest: Any) -> Arrays:
    if manifest.learner.kind != "gan":
        return model()
    tensors = {"generator.w": np.ones(2, np.float32), "generator_ema.w": np.ones(2, np.float32)}
    return {**tensors, "discriminator.w": np.ones(2, np.float32)}


def _manifest(history: History) -> str:
    return history.state.manifest_digest.hex()


def _genesis(history: History) -> str:
    return history.state.genesis_digest.hex()


def _bitten(blob: bytes) -> bytes:
    """The blob with another last bit."""
    return blob[:-1] + bytes([blob[-1] ^ 1])


def _put(history: History, name: str, blob: bytes) -> None:
    history.blobs[name] = blob


# ------------------------------------------------------------------------------------ A5


def _damaged() -> Iterator[Case]:
    def damaged(name: str, lies: Callable[[bytes], bytes | None], round: int = 1) -> Case:
        history = played(history_of(manifest_of(rounds=TWO)))
        reveals = [one for one in history.played_reveals if one.round == round]
        digest = reveals[1].reveal.update_digest.hex()
        blob = lies(history.blobs.pop(digest))
        if blob is not None:
            history.blobs[digest] = blob
        return _case(name, history, [("A5", round)], ("A6", "A7"))

    yield damaged("update_missing", lambda blob: None)
    yield damaged("update_tampered", _bitten)
    yield damaged("update_longer", lambda blob: blob + bytes(1000))
    yield damaged("update_of_the_second_round_missing", lambda blob: None, round=2)
    history = played(history_of(manifest_of(rounds=TWO)))
    digest = history.played_reveals[0].reveal.update_digest.hex()
    aggregate = next(e.event for e in history.entries if isinstance(e.event, RoundFinalised))
    del history.blobs[digest], history.blobs[aggregate.aggregate_digest.hex()]
    both = [("A5", 1), ("A7", 1)]
    yield _case("update_and_aggregate_missing", history, both, ("A6",))


# ------------------------------------------------------------------------------------ A6


def _misjudged() -> Iterator[Case]:
    """Sets of updates that a quorum agreed on, and the rules do not give."""
    history = history_of()
    history.send(everyone(history))
    history.attest(history.put(history.aggregate().blob), 0b011)
    yield _case("valid_update_left_out", history, [("A6", 1)])

    history = history_of()
    broken = history.update(ALICE, moved(history, ALICE), seed=1)
    history.send({**everyone(history), ALICE: broken})
    history.attest(history.put(history.aggregate().blob), 0b111)
    yield _case("invalid_update_included", history, [("A6", 1)])

    history = history_of()
    history.send({**everyone(history), BOB: history.update(BOB, moved(history, ALICE))})
    history.attest(history.put(history.aggregate().blob), 0b111)
    yield _case("copy_included", history, [("A6", 1)])

    history = _one_missing()
    late = everyone(history_of())[BOB]
    history.put(late.blob)
    yield _case("missing_update_stored_later", history, [("A6", 1), ("A7", 1)])


# ------------------------------------------------------------------------------------ A7


def _miscounted() -> Iterator[Case]:
    history = _forged(lambda state: {**state, "head.bias": state["head.bias"] + np.float32(1)})
    yield _case("another_aggregate", history, [("A7", 1)])

    history = _forged(lambda state: {**state, "more": np.zeros(3, np.float32)})
    yield _case("another_tensor", history, [("A7", 1)], ("A5", "A6"))

    history = _forged(lambda state: {**state, "head.bias": state["head.bias"][:4]})
    yield _case("another_shape", history, [("A7", 1)], ("A5", "A6"))

    history = played(history_of(manifest_of(rounds=TWO)))
    history.blobs.pop(_aggregates(history)[0])
    yield _case("aggregate_missing", history, [("A7", 1)])

    history = played(history_of(manifest_of(rounds=TWO)))
    name = _aggregates(history)[1]
    history.blobs[name] = _bitten(history.blobs[name])
    yield _case("aggregate_tampered", history, [("A7", 2)])

    history = history_of(manifest_of(rounds=TWO))
    history.send(everyone(history))
    history.attest(bytes([7]) * 32, 0b111)
    history.commit({})
    yield _case("aggregate_that_nobody_has", history, [("A7", 1)], ("A5", "A6"))


def _forged(change: Callable[[Arrays], Arrays]) -> History:
    """A quorum makes a model of its own final; the second round builds on it, and everybody declines it."""
    history = history_of(manifest_of(rounds=TWO))
    history.send(everyone(history))
    history.attest(history.put(encode_model(change(history.genesis))), 0b111)
    history.commit({})
    return history


def _aggregates(history: History) -> list[str]:
    events = (entry.event for entry in history.entries)
    return [one.aggregate_digest.hex() for one in events if isinstance(one, RoundFinalised)]


# ------------------------------------------------------------------------------------ A8


def _unconnected() -> Iterator[Case]:
    history = played(history_of())
    yield _case("another_current_model", history, [("A8", 0)], parent_digest=bytes(32))

    history = played(history_of(manifest_of(rounds=TWO)))
    second = [at for at, e in enumerate(history.entries) if isinstance(e.event, RoundOpened)][1]
    log = list(history.entries)
    opened = replace(log[second].event, parent_digest=history.state.genesis_digest)
    log[second] = replace(log[second], event=opened)
    both = [("A3", 2), ("A8", 2)]
    yield _case("from_the_genesis_again", history, both, entries=log)
