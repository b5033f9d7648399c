"""A watch: what a node says, as numbers, and whether it is in order."""

from __future__ import annotations

from doubles import MEMBERS, Clock, small_manifest
from hypothesis import given
from hypothesis import strategies as st

from chain.errors import ChainUnreachable
from chain.memory_ledger import MemoryLedger
from chain.types import Receipt, TaskState
from fl_node.cli.node.display import Said, Started, Training
from fl_node.cli.service.health import LONGEST_TROUBLE, health_of
from fl_node.cli.service.watch import LONGEST_SILENCE, Watch
from fl_node.errors import BlobMissing, StoreUnusable
from fl_node.member.next_action import Action
from fl_node.member.participant import Step


class Hand:
    """A clock that somebody turns."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += seconds


def state() -> TaskState:
    manifest = small_manifest()
    ledger = MemoryLedger(MEMBERS[0], clock=Clock())
    ledger.open_task(b"m" * 32, b"g" * 32, manifest.addresses, manifest.terms())
    return ledger.task_state(1)


STATE = state()


def step(action: Action, gas: int | None = None) -> Step:
    receipt = None if gas is None else Receipt(b"t" * 32, 7, gas, ())
    return Step(action, STATE, receipt)


def watch_on(clock: Hand) -> Watch:
    return Watch(clock, wall=lambda: 1_000.0 + clock.now)


def test_each_second_belongs_to_what_ended_with_it() -> None:
    clock = Hand()
    watch = watch_on(clock)
    for seconds, said in [
        (2, Started("0x11", 1, "digits")),
        (3, Training(1, 2, {})),
        (4, Training(2, 2, {})),
        (5, step(Action.COMMIT, 70)),
        (6, step(Action.REVEAL, 80)),
        (7, step(Action.ATTEST, 90)),
        (8, step(Action.WAIT)),
        (9, ChainUnreachable("away")),
    ]:
        clock.forward(seconds)
        watch.show(said)
    assert watch.seconds() == {
        "starting": 2,
        "training": 12,
        "uploading": 6,
        "aggregating": 7,
        "waiting": 8,
        "trouble": 9,
    }
    assert (watch.step, watch.steps) == (2, 2)


def test_sleep_is_waiting_and_in_trouble_it_is_trouble() -> None:
    clock = Hand()
    watch = watch_on(clock)
    sleep = watch.sleeping(clock.forward)
    sleep(3)
    watch.show(StoreUnusable("full"))
    sleep(5)
    assert (watch.seconds()["waiting"], watch.seconds()["trouble"]) == (3, 5)


def test_what_the_chain_recorded_is_counted_and_nothing_else() -> None:
    clock = Hand()
    watch = watch_on(clock)
    for said in (step(Action.COMMIT, 70), step(Action.REVEAL), step(Action.COMMIT, 30)):
        clock.forward(1)
        watch.show(said)
    assert dict(watch.actions) == {"commit": 2}
    assert (watch.gas, watch.acted_at) == (100, 1_103)
    assert watch.state == STATE


def test_errors_are_counted_by_name() -> None:
    watch = watch_on(Hand())
    for error in (ChainUnreachable("a"), BlobMissing("b"), ChainUnreachable("c")):
        watch.show(error)
    assert dict(watch.troubles) == {"ChainUnreachable": 2, "BlobMissing": 1}


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1_000),
            st.sampled_from(
                [Training(1, 2, {}), *(step(action) for action in Action), StoreUnusable("x")]
            ),
        ),
        max_size=20,
    )
)
def test_law_no_second_is_lost_or_counted_twice(told: list[tuple[int, Said]]) -> None:
    clock = Hand()
    watch = watch_on(clock)
    for seconds, said in told:
        clock.forward(seconds)
        before = watch.seconds()
        watch.show(said)
        assert all(watch.seconds()[doing] >= spent for doing, spent in before.items())
    assert sum(watch.seconds().values()) == sum(seconds for seconds, _ in told)


class TestHealth:
    def test_a_node_that_starts_is_in_order(self) -> None:
        assert health_of(watch_on(Hand())).healthy

    def test_trouble_may_last_a_while(self) -> None:
        clock = Hand()
        watch = watch_on(clock)
        watch.show(ChainUnreachable("no chain answers"))
        clock.forward(LONGEST_TROUBLE)
        watch.show(ChainUnreachable("no chain answers"))
        assert health_of(watch).healthy
        clock.forward(1)
        health = health_of(watch)
        assert not health.healthy
        assert health.why == "in trouble for 61 s: no chain answers"

    def test_a_step_ends_it(self) -> None:
        clock = Hand()
        watch = watch_on(clock)
        watch.show(ChainUnreachable("away"))
        clock.forward(LONGEST_TROUBLE + 1)
        assert not health_of(watch).healthy
        watch.show(step(Action.WAIT))
        assert health_of(watch).healthy

    def test_silence_is_told_with_what_went_before(self) -> None:
        clock = Hand()
        watch = watch_on(clock)
        watch.show(Training(1, 9, {}))
        clock.forward(LONGEST_SILENCE)
        assert health_of(watch).healthy
        clock.forward(1)
        assert health_of(watch).why == "no sign of life for 901 s; it was last training"

    def test_code_of_its_own_may_train_in_silence(self) -> None:
        clock = Hand()
        watch = watch_on(clock)
        watch.silence = 3_600
        clock.forward(3_000)
        assert health_of(watch).healthy
