"""A member's update on its way: early and sealed, beside the loop, given up at the deadline, and said in numbers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from doubles import MEMBERS, DriftingLearner, Federation, run, state_at
from hypothesis import given
from hypothesis import strategies as st

from chain.types import Address, Phase, RoundFinalised, UpdateRevealed
from fl_node.blobs.sealed import MAGIC, is_sealed
from fl_node.blobs.store import Store
from fl_node.errors import StoreSlow, StoreUnusable
from fl_node.member.next_action import Action
from fl_node.member.participant import Participant
from fl_node.member.sending import may_still_count
from fl_node.member.state import Membership, NodeState
from fl_node.member.uploading import Uploads

SLOW = MEMBERS[2]


class Uplink:
    """A member's view of the store, whose uploads come to half and hang there until they are let through."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.let = threading.Event()
        self.puts = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, blob: bytes, progress: Callable[[int], None]) -> bytes:
        self.puts += 1
        progress(0)
        while not self.let.wait(0.01):
            progress(len(blob) // 2)
        progress(len(blob))
        return self._store.put(blob)


class Down:
    """A store that takes nothing for now."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.down = True

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put(self, blob: bytes, **options: Any) -> bytes:
        if self.down:
            raise StoreUnusable("the store is down")
        return self._store.put(blob, **options)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as threads:
        yield threads


def node(
    federation: Federation,
    member: str,
    store: Any = None,
    uploads: Uploads | None = None,
    early: bool = True,
) -> Participant:
    index = MEMBERS.index(member)  # type: ignore[arg-type]
    learner = federation.learners.setdefault(MEMBERS[index], DriftingLearner(index + 1))
    ledger = federation.ledger.acting_as(MEMBERS[index])
    membership = Membership(ledger.chain_id, ledger.contract, federation.task, MEMBERS[index])
    state = NodeState(federation.folder / member, membership)
    state.close()
    parts = (ledger, store or federation.store, learner, federation.task, federation.manifest)
    return Participant(*parts, state, uploads=uploads, early=early)


def phase_of(federation: Federation) -> tuple[int, Phase]:
    state = federation.ledger.task_state(federation.task)
    return state.round, state.phase


def revealed(federation: Federation) -> list[UpdateRevealed]:
    events = [entry.event for entry in federation.ledger.history(federation.task)]
    return [event for event in events if isinstance(event, UpdateRevealed)]


def blobs_in(federation: Federation) -> list[bytes]:
    files = (federation.folder / "store").rglob("*")
    return [path.read_bytes() for path in files if path.is_file()]


class TestEarly:
    def test_an_update_lies_sealed_in_the_store_once_its_member_has_committed(
        self, federation: Federation
    ) -> None:
        node(federation, SLOW).step()
        (blob,) = [blob for blob in blobs_in(federation) if is_sealed(blob)]
        assert phase_of(federation) == (1, Phase.COMMIT)
        assert SLOW.encode() not in blob

    def test_a_plain_update_is_not_there_before_all_have_committed(
        self, federation: Federation
    ) -> None:
        late = node(federation, SLOW, early=False)
        before = len(blobs_in(federation))
        late.step()
        late.step()
        assert len(blobs_in(federation)) == before

    def test_sealed_and_plain_updates_make_the_same_model(
        self, federate: Callable[..., Federation]
    ) -> None:
        plain = run(federate(name="plain"))
        federation = federate(name="sealed")
        nodes = [node(federation, member, early=member != MEMBERS[0]) for member in MEMBERS]
        while {one.step().action for one in nodes} != {Action.FINISHED}:
            pass
        assert federation.ledger.task_state(federation.task).parent_digest == plain
        sealed = {
            is_sealed(federation.store.get(event.reveal.update_digest, 1 << 20)): event.client
            for event in revealed(federation)
        }
        assert sealed[False] == MEMBERS[0]

    def test_a_node_that_was_killed_sends_the_sealed_update_that_it_had_planned(
        self, federation: Federation
    ) -> None:
        store = Down(federation.store)
        node(federation, SLOW, store).step()
        assert not any(is_sealed(blob) for blob in blobs_in(federation))
        assert node(federation, SLOW, early=False).step().action is Action.WAIT
        assert any(is_sealed(blob) for blob in blobs_in(federation))

    def test_a_store_that_is_down_keeps_no_commitment_back_and_is_tried_again(
        self, federation: Federation
    ) -> None:
        store = Down(federation.store)
        late = node(federation, SLOW, store)
        assert late.step().action is Action.COMMIT
        with pytest.raises(StoreUnusable, match="down"):
            late.step()
        store.down = False
        assert late.step().action is Action.WAIT
        assert any(is_sealed(blob) for blob in blobs_in(federation))

    def test_its_length_is_that_of_the_update_and_eight_bytes(self, federation: Federation) -> None:
        node(federation, SLOW).step()
        (path,) = (federation.folder / SLOW).glob("round-*/update.blob")
        early = path.stat().st_size
        node(federation, MEMBERS[0], early=False).step()
        (path,) = (federation.folder / MEMBERS[0]).glob("round-*/update.blob")
        assert early == path.stat().st_size + len(MAGIC)


class TestBesideTheLoop:
    def test_others_are_seen_while_the_upload_goes_on(
        self, federation: Federation, threads: ThreadPoolExecutor
    ) -> None:
        store = Uplink(federation.store)
        uploads = Uploads(store, threads)  # type: ignore[arg-type]
        late = node(federation, SLOW, store, uploads)
        late.step()
        for member in MEMBERS[:2]:
            federation.start(member).step()
        assert phase_of(federation) == (1, Phase.REVEAL)
        step = late.step()
        assert (step.action, step.receipt) == (Action.REVEAL, None)
        store.let.set()
        while late.step().receipt is None:
            pass
        assert [event.client for event in revealed(federation)] == [SLOW]
        assert store.puts == 1

    def test_an_upload_is_given_up_at_the_deadline_and_the_node_in_time_for_the_next_round(
        self, federation: Federation, threads: ThreadPoolExecutor
    ) -> None:
        late, others, store = self.others_have_revealed(federation, threads)
        late.step()
        federation.clock.time += 1000
        with pytest.raises(StoreSlow, match="given up after"):
            late.step()
        assert late.step().action is Action.ADVANCE
        for member in others:
            federation.start(member).step()
        assert phase_of(federation) == (2, Phase.COMMIT)
        assert late.step().action is Action.REJOIN
        store.let.set()
        assert self.included(federation) == [0b011]

    def test_an_upload_that_nobody_waits_for_ends_with_its_round(
        self, federation: Federation, threads: ThreadPoolExecutor
    ) -> None:
        """The member looks again only when the others are a round further: its update is of no use any more."""
        late, others, store = self.others_have_revealed(federation, threads)
        federation.clock.time += 1000
        for member in (others[0], *others):
            federation.start(member).step()
        assert phase_of(federation) == (2, Phase.COMMIT)
        with pytest.raises(StoreSlow):
            late.step()
        store.let.set()

    def others_have_revealed(
        self, federation: Federation, threads: ThreadPoolExecutor
    ) -> tuple[Participant, tuple[Address, ...], Uplink]:
        """A member whose upload lasts, when the others have committed and revealed."""
        store = Uplink(federation.store)
        uploads = Uploads(store, threads)  # type: ignore[arg-type]
        late, others = node(federation, SLOW, store, uploads), MEMBERS[:2]
        late.step()
        for member in (*others, *others):
            federation.start(member).step()
        return late, others, store

    def included(self, federation: Federation) -> list[int]:
        events = [entry.event for entry in federation.ledger.history(federation.task)]
        return [event.included for event in events if isinstance(event, RoundFinalised)]


class TestSlow:
    def test_a_commitment_warns_of_an_uplink_that_is_known_to_be_slow(
        self, federation: Federation
    ) -> None:
        uploads = Uploads(federation.store)
        uploads.rate = 1.0
        step = node(federation, SLOW, uploads=uploads).step()
        assert step.slow is not None
        assert f"the reveal window is {step.state.terms.reveal_window} s" in str(step.slow)

    def test_of_a_fast_one_it_says_nothing(self, federation: Federation) -> None:
        uploads = Uploads(federation.store)
        uploads.rate = 1e9
        assert node(federation, SLOW, uploads=uploads).step().slow is None

    def test_at_the_start_the_largest_possible_update_counts(self, federation: Federation) -> None:
        measured: list[int] = []
        member = node(federation, SLOW)
        slow = member.measure_uplink(lambda size: measured.append(size) or 1.0)
        assert slow is not None
        assert measured == [slow.size]
        assert member.step().slow  # What was measured holds until an upload says more.
        (path,) = (federation.folder / SLOW).glob("round-*/update.blob")
        assert path.stat().st_size <= slow.size < path.stat().st_size + 100
        assert member.measure_uplink(lambda size: 1e9) is None


@given(st.integers(0, 95), st.sampled_from(Phase), st.integers(0, 200), st.data())
def test_an_update_counts_until_it_is_revealed_or_late(
    index: int, phase: Phase, now: int, data: st.DataObject
) -> None:
    awaited, committed = (data.draw(st.integers(0, (1 << 96) - 1)) for _ in range(2))
    state = state_at(phase, awaited=awaited, committed=committed)
    counts = may_still_count(state, index, now)
    if phase is Phase.COMMIT:
        assert counts == bool((awaited | committed) >> index & 1)
    elif phase is Phase.REVEAL:
        assert counts == (bool(awaited >> index & 1) and now <= state.deadline)
    else:
        assert not counts
