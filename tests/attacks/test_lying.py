"""Telling others something else than what happened: a member, a node of the chain, a keeper of the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from doubles import MEMBERS, Federation, small_genesis, small_manifest
from hostile import (
    ATTACKER,
    HONEST_NODES,
    arrays_of,
    audit_of,
    commit_to,
    goes_on,
    header_of,
    last_final,
    reveal_as_attacker,
    send,
    step_honest,
)

from chain.errors import AggregateInvalid, HistoryInvalid
from chain.types import Entry, Phase, RoundOpened, UpdateRevealed
from fl_node.audit import audit
from fl_node.blobs.digest import digest_of
from fl_node.blobs.encoding import encode_update
from fl_node.blobs.model import encode_model
from fl_node.blobs.store import key_of
from fl_node.errors import BadData, Misuse, ModelDisputed
from fl_node.member.joining import load_manifest
from fl_node.member.next_action import Action


class LyingNode:
    """The chain as a dishonest or lagging endpoint shows it to one member."""

    def __init__(self, ledger: Any, lie: Callable[[list[Entry]], Sequence[Entry]]) -> None:
        self._ledger, self._lie = ledger, lie

    def history(self, task: int, from_block: int = 0) -> Sequence[Entry]:
        return self._lie(list(self._ledger.history(task, from_block)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


def nothing(entries: list[Entry]) -> Sequence[Entry]:
    return []


def without_the_last(entries: list[Entry]) -> Sequence[Entry]:
    reveals = [at for at, entry in enumerate(entries) if isinstance(entry.event, UpdateRevealed)]
    return entries[: reveals[-1]]


def without_openings(entries: list[Entry]) -> Sequence[Entry]:
    return [entry for entry in entries if not isinstance(entry.event, RoundOpened)][:-3]


def with_another_digest(entries: list[Entry]) -> Sequence[Entry]:
    return [
        replace(entry, event=replace(event, reveal=replace(event.reveal, update_digest=bytes(32))))
        if isinstance(event := entry.event, UpdateRevealed) and event.client == ATTACKER
        else entry
        for entry in entries
    ]


def play_until_attest(federation: Federation) -> None:
    """All three honest so far."""
    nodes = [federation.start(member) for member in MEMBERS]
    for _ in range(2):
        for node in nodes:
            node.step()
    assert federation.ledger.task_state(federation.task).phase is Phase.ATTEST


@pytest.mark.parametrize("lie", [nothing, without_the_last, without_openings])
def test_hide_reveals_from_a_member(
    federation: Federation, lie: Callable[[list[Entry]], Sequence[Entry]]
) -> None:
    """15. A member attests to nothing while its endpoint's log and state do not fit together."""
    play_until_attest(federation)
    ledger = LyingNode(federation.ledger.acting_as(MEMBERS[0]), lie)
    deceived = federation.start(MEMBERS[0], ledger)
    with pytest.raises(HistoryInvalid):
        deceived.step()
    assert federation.ledger.task_state(federation.task).awaited == 0b111
    for member in MEMBERS[1:]:
        federation.start(member).step()
    assert last_final(federation).included == 0b111


def test_show_a_member_another_reveal(federation: Federation) -> None:
    """15. A lie that fits in number deceives nobody either: the log does not lead to the head."""
    play_until_attest(federation)
    ledger = LyingNode(federation.ledger.acting_as(MEMBERS[0]), with_another_digest)
    with pytest.raises(HistoryInvalid):
        federation.start(MEMBERS[0], ledger).step()
    for member in MEMBERS[1:]:
        federation.start(member).step()
    assert last_final(federation).included == 0b111
    assert audit_of(federation).verdict == "clean"
    deceived = audit_of(federation, LyingNode(federation.ledger, with_another_digest))
    assert {"A2", "A3"} <= {finding.step for finding in deceived.findings}


def test_attest_to_a_model_of_ones_own(federation: Federation) -> None:
    """15. One vote for a forged model changes nothing: the honest pair is final."""
    play_until_attest(federation)
    forged = federation.store.put(encode_model(arrays_of(federation)))
    federation.ledger.acting_as(ATTACKER).attest(federation.task, 1, forged, 0b111)
    step_honest(federation, Action.ATTEST)
    final = last_final(federation)
    assert final.aggregate_digest != forged
    assert goes_on(federation)
    assert audit_of(federation).verdict == "clean"


@pytest.mark.parametrize("included", [0b111, 0b011])
def test_attest_to_a_forged_model_as_a_quorum(federation: Federation, included: int) -> None:
    """8, 15. A colluding quorum can make a wrong model final: honest members stop there, and every audit says so."""
    play_until_attest(federation)
    forged = federation.store.put(encode_model(arrays_of(federation)))
    for member in MEMBERS[:2]:
        federation.ledger.acting_as(member).attest(federation.task, 1, forged, included)
    assert last_final(federation).aggregate_digest == forged
    with pytest.raises(ModelDisputed, match=forged.hex()):
        federation.start(MEMBERS[2]).step()
    report = audit_of(federation)
    assert report.verdict == "findings"
    found = {(finding.step, finding.round) for finding in report.findings}
    assert ("A7", 1) in found
    assert (("A6", 1) in found) == (included != 0b111)


def test_attest_to_a_model_that_comes_of_no_updates(federation: Federation) -> None:
    """8, 15. Of no updates comes the parent: not even a quorum can make anything else final."""
    play_until_attest(federation)
    with pytest.raises(AggregateInvalid):
        federation.ledger.acting_as(MEMBERS[0]).attest(federation.task, 1, bytes([7]) * 32, 0)
    for member in MEMBERS[:2]:
        federation.start(member).step()
    assert goes_on(federation)
    assert audit_of(federation).verdict == "clean"


def test_publish_only_after_the_round(federation: Federation) -> None:
    """15. A blob held back until the others left it out: the audit cannot know when it came, and says what it sees."""
    blob = encode_update(header_of(federation), arrays_of(federation))
    assert send(federation, blob, stored=False).included == 0b011
    assert audit_of(federation).verdict == "clean"
    federation.store.put(blob)
    steps = {finding.step for finding in audit_of(federation).findings}
    assert steps == {"A6", "A7"}


def overwrite(federation: Federation, digest: bytes, content: bytes) -> None:
    path = federation.folder / "store" / key_of(digest)
    path.unlink()
    path.write_bytes(content)


def test_alter_an_honest_update_in_the_store(federation: Federation) -> None:
    """15. The nodes that aggregate afterwards leave it out rather than believe it; the audit blames nobody else."""
    opening = commit_to(federation, digest_of(good := forge(federation)))
    step_honest(federation, Action.COMMIT)
    federation.store.put(good)
    reveal_as_attacker(federation, opening)
    step_honest(federation, Action.REVEAL)
    events = (entry.event for entry in federation.ledger.history(federation.task))
    victim = next(
        event
        for event in events
        if isinstance(event, UpdateRevealed) and event.client == HONEST_NODES[0]
    )
    blob = bytearray(federation.store.get(victim.reveal.update_digest, 1 << 20))
    blob[-1] ^= 1
    overwrite(federation, victim.reveal.update_digest, bytes(blob))
    step_honest(federation, Action.ATTEST)
    assert last_final(federation).included == 0b110
    assert goes_on(federation)
    assert audit_of(federation).verdict == "clean"


def forge(federation: Federation) -> bytes:
    return encode_update(header_of(federation), arrays_of(federation))


def test_alter_the_model_that_a_round_starts_from(federation: Federation) -> None:
    """15. Nobody trains on it: the nodes wait until the model is there again, and then go on."""
    parent = federation.ledger.task_state(federation.task).parent_digest
    model = bytes(federation.store.get(parent, 1 << 20))
    overwrite(federation, parent, model[:-1] + b"!")
    with pytest.raises(BadData, match=parent.hex()):
        federation.start(MEMBERS[0]).step()
    overwrite(federation, parent, model)
    assert federation.start(MEMBERS[0]).step().receipt


def test_alter_history_afterwards(federation: Federation) -> None:
    """15. An audit of altered blobs names what was altered, and nothing that follows from it."""
    play_until_attest(federation)
    step_honest(federation, Action.ATTEST)
    events = [entry.event for entry in federation.ledger.history(federation.task)]
    reveals = [event for event in events if isinstance(event, UpdateRevealed)]
    overwrite(federation, reveals[1].reveal.update_digest, b"another update")
    (finding,) = audit_of(federation).findings
    assert (finding.step, finding.client, finding.actual) == ("A5", MEMBERS[1], "tampered")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"members": [*MEMBERS[:2], "0x" + "00" * 19 + "44"]}, "members"),
        ({"members": list(MEMBERS[:2])}, "members"),
        ({"rounds": {"count": 3}}, "terms"),
        ({"rounds": {"count": 2, "quorum": "0.6"}}, "terms"),
    ],
)
def test_open_a_task_with_another_manifest_than_its_members_read(
    federation: Federation, change: dict[str, Any], what: str
) -> None:
    """6. A coordinator that records one thing and shows another: a node stays away, and the audit says so too."""
    shown = small_manifest(**change)
    honest, genesis = federation.manifest, federation.store.put(encode_model(small_genesis()))
    receipt = federation.ledger.open_task(
        federation.store.put(shown.to_bytes()), genesis, honest.addresses, honest.terms()
    )
    task = receipt.entries[0].event.task
    with pytest.raises(Misuse, match=f"task {task} does not match its manifest: .*{what}"):
        load_manifest(federation.ledger, federation.store, task)
    assert load_manifest(federation.ledger, federation.store, federation.task) == honest
    report = audit(lambda: federation.ledger, federation.store, task)
    assert [finding.step for finding in report.findings] == ["A4"]


def test_plant_garbage_under_the_next_models_name(federation: Federation) -> None:
    """15. Who may write to the store can spoil a name that it foresees; whoever has the right blob mends it."""
    play_until_attest(federation)
    elsewhere = federation.start(MEMBERS[2])
    digest = elsewhere._sources.aggregate(federation.ledger.task_state(federation.task)).digest
    path = federation.folder / "store" / key_of(digest)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"garbage")
    step_honest(federation, Action.ATTEST)
    assert last_final(federation).aggregate_digest == digest
    assert digest_of(path.read_bytes()) == digest
