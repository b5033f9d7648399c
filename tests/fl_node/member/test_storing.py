"""Who stores an aggregate: one at once, the others in turn if that one does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from doubles import MEMBERS, Federation, run, small_manifest
from hypothesis import given
from hypothesis import strategies as st

from chain.types import Phase, RoundFinalised
from fl_node.blobs.store import Store, key_of
from fl_node.member.next_action import Action
from fl_node.member.participant import Participant
from fl_node.member.storing import line_to_store, seconds_before


class TestLine:
    def test_the_included_members_take_turns(self) -> None:
        assert [line_to_store(round, 0b1011, 4)[0] for round in range(1, 7)] == [1, 3, 0, 1, 3, 0]

    def test_the_others_come_after_them(self) -> None:
        assert line_to_store(1, 0b0110, 4) == [2, 1, 0, 3]

    def test_without_an_included_update_the_members_line_up_as_they_are(self) -> None:
        assert line_to_store(7, 0, 3) == [0, 1, 2]

    @given(st.integers(1, 65_535), st.integers(1, 96), st.integers(0, (1 << 96) - 1))
    def test_everybody_has_one_place(self, round: int, members: int, bitmap: int) -> None:
        line = line_to_store(round, bitmap & ((1 << members) - 1), members)
        assert sorted(line) == list(range(members))

    def test_each_is_given_time_for_the_bytes(self) -> None:
        assert [seconds_before(place, 14_300_000) for place in range(3)] == [0, 16, 32]


class Counting:
    """A member's view of the store: what it sends and what it fetches."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.sent: list[bytes] = []
        self.fetched: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, blob: bytes, **options: Any) -> bytes:
        there = self._store.holds(blob)
        digest = self._store.put(blob, **options)
        if not there:
            self.sent.append(digest)
        return digest

    def get(self, digest: bytes, max_bytes: int) -> memoryview:
        self.fetched.append(digest)
        return self._store.get(digest, max_bytes)


def models_of(federation: Federation) -> list[bytes]:
    entries = federation.ledger.history(federation.task)
    events = [entry.event for entry in entries]
    return [event.aggregate_digest for event in events if isinstance(event, RoundFinalised)]


def updates_of(federation: Federation) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {member: [] for member in MEMBERS}
    for entry in federation.ledger.history(federation.task):
        if type(entry.event).__name__ == "UpdateRevealed":
            found[entry.event.client].append(entry.event.reveal.update_digest)  # type: ignore[union-attr]
    return found


@pytest.fixture
def watched(federate: Callable[..., Federation]) -> tuple[Federation, dict[str, Counting]]:
    """A finished task of four rounds, and what each member's node sent and fetched."""
    federation: Federation = federate(small_manifest(rounds={"count": 4}))
    views = {member: Counting(federation.store) for member in MEMBERS}
    nodes = [federation.start(member, store=views[member]) for member in MEMBERS]
    finish(federation, nodes)
    return federation, views


def finish(federation: Federation, nodes: list[Participant]) -> None:
    for _ in range(1000):
        actions = {node.step().action for node in nodes}
        if actions == {Action.FINISHED}:
            return
        if actions <= {Action.FINISHED, Action.WAIT}:
            federation.clock.time += 60
    raise AssertionError("the task did not finish in 1000 steps")


Watched = tuple[Federation, dict[str, Counting]]


class TestTransfers:
    def test_each_model_is_sent_by_one_member(self, watched: Watched) -> None:
        federation, views = watched
        sent = Counter(digest for view in views.values() for digest in view.sent)
        assert [sent[digest] for digest in models_of(federation)] == [1, 1, 1, 1]

    def test_a_member_sends_its_updates_and_fetches_those_of_others(self, watched: Watched) -> None:
        federation, views = watched
        updates = updates_of(federation)
        for member, view in views.items():
            assert [digest for digest in view.sent if digest in updates[member]] == updates[member]
            others = [one for name, all_of in updates.items() if name != member for one in all_of]
            fetched = Counter(view.fetched)
            assert all(fetched[digest] <= 1 for digest in others)
            assert not any(fetched[digest] for digest in updates[member])

    def test_nobody_fetches_a_model_but_the_genesis(self, watched: Watched) -> None:
        federation, views = watched
        genesis = federation.ledger.task_state(federation.task).genesis_digest
        for view in views.values():
            fetched = Counter(view.fetched)
            assert fetched[genesis] == 1
            assert not any(fetched[digest] for digest in models_of(federation))

    def test_nor_does_a_node_that_was_started_anew_after_each_step(
        self, federation: Federation
    ) -> None:
        view = Counting(federation.store)
        while federation.ledger.task_state(federation.task).phase is not Phase.FINISHED:
            federation.start(MEMBERS[0], store=view).step()
            for member in MEMBERS[1:]:
                federation.start(member).step()
        assert not set(view.fetched) & set(models_of(federation))


class TestSomebodyWhoDoesNotStore:
    def test_an_aggregate_that_goes_missing_is_stored_by_others(
        self, federation: Federation
    ) -> None:
        """As if the member whose turn it was had died: until the next round is over, others look for it."""
        nodes = [federation.start(member) for member in MEMBERS]
        while federation.ledger.task_state(federation.task).round == 1:
            for node in nodes:
                node.step()
        (model,) = models_of(federation)
        (federation.folder / "store" / key_of(model)).unlink()
        federation.clock.time += 20
        finish(federation, nodes)
        assert federation.store.get(model, 1 << 20)

    def test_the_final_model_is_there_when_the_nodes_end(self, federation: Federation) -> None:
        run(federation)
        final = federation.ledger.task_state(federation.task).parent_digest
        (federation.folder / "store" / key_of(final)).unlink()
        finish(federation, [federation.start(member) for member in MEMBERS])
        assert federation.store.get(final, 1 << 20)

    def test_garbage_under_its_name_is_mended(self, federation: Federation) -> None:
        run(federation)
        final = federation.ledger.task_state(federation.task).parent_digest
        (federation.folder / "store" / key_of(final)).write_bytes(b"garbage")
        finish(federation, [federation.start(member) for member in MEMBERS])
        assert federation.store.get(final, 1 << 20)
