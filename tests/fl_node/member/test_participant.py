"""The node: what it does next, and that it can be killed anywhere."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from doubles import (
    MEMBERS,
    NOBODY,
    DriftingLearner,
    Federation,
    run,
    small_manifest,
    state_at,
)

from chain.errors import ChainRefused, ChainUnreachable, HistoryInvalid, TransactionFailed
from chain.types import (
    Entry,
    Look,
    Phase,
    RoundAborted,
    RoundFinalised,
)
from fl_node.errors import (
    Misuse,
    NothingToSend,
    PolicyForbids,
    StoreUnusable,
    TrainingDiverged,
    TrainingFailed,
)
from fl_node.learner import Trained
from fl_node.member.next_action import Action, next_action
from fl_node.member.participant import Participant
from fl_node.member.taking_part import take_part
from fl_node.round.policy import Policy


class TestNextAction:
    @pytest.mark.parametrize(
        ("phase", "action"),
        [
            (Phase.COMMIT, Action.COMMIT),
            (Phase.REVEAL, Action.REVEAL),
            (Phase.ATTEST, Action.ATTEST),
        ],
    )
    def test_does_what_the_phase_asks_of_it(self, phase: Phase, action: Action) -> None:
        assert next_action(state_at(phase), 1, now=50) is action

    def test_waits_for_the_others_once_it_has_acted(self) -> None:
        assert (
            next_action(state_at(Phase.COMMIT, awaited=0b101, committed=0b010), 1, now=50)
            is Action.WAIT
        )

    def test_waits_when_it_is_not_in_the_cohort(self) -> None:
        assert next_action(state_at(Phase.COMMIT, awaited=0b101), 1, now=50) is Action.WAIT

    @pytest.mark.parametrize(("now", "action"), [(100, Action.COMMIT), (101, Action.ADVANCE)])
    def test_ends_a_phase_only_after_its_deadline(self, now: int, action: Action) -> None:
        assert next_action(state_at(Phase.COMMIT), 1, now) is action

    def test_comes_back_from_an_absence(self) -> None:
        state = state_at(Phase.COMMIT, awaited=0b101, absent=0b010)
        assert next_action(state, 1, now=50) is Action.REJOIN

    def test_ends_with_the_task(self) -> None:
        state = state_at(Phase.FINISHED, absent=0b010)
        assert next_action(state, 1, now=500) is Action.FINISHED


def finalised(federation: Federation) -> list[RoundFinalised]:
    events = (entry.event for entry in federation.ledger.history(federation.task))
    return [event for event in events if isinstance(event, RoundFinalised)]


def test_three_nodes_finish_the_task(federation: Federation) -> None:
    final = run(federation)
    assert [event.included for event in finalised(federation)] == [0b111, 0b111]
    assert federation.store.get(final, 1 << 20)


def test_a_stranger_cannot_take_part(federation: Federation) -> None:
    member = federation.start(MEMBERS[0])
    with pytest.raises(Misuse, match="not a member"):
        Participant(
            federation.ledger.acting_as(NOBODY),
            federation.store,
            federation.learners[MEMBERS[0]],
            federation.task,
            federation.manifest,
            member._state,
        )


def test_a_member_that_vanishes_costs_one_deadline_not_the_task(federation: Federation) -> None:
    start = federation.clock.time
    run(federation, MEMBERS[:2])
    assert [event.included for event in finalised(federation)] == [0b011, 0b011]
    windows = federation.manifest.rounds.commit_window
    assert federation.clock.time - start < 2 * windows + 1_000


def test_a_member_that_comes_back_is_drawn_again(
    federate: Callable[..., Federation],
) -> None:
    federation = federate(small_manifest(rounds={"count": 4}))
    early = [federation.start(member) for member in MEMBERS[:2]]
    while not finalised(federation):
        steps = [node.step() for node in early]
        if all(step.action is Action.WAIT for step in steps):
            federation.clock.time += 1_000
    run(federation)
    assert [event.included for event in finalised(federation)][-1] == 0b111


class Killed(BaseException):
    """The process is gone. No handler in the code under test may catch it."""


class Mortal:
    """Passes calls on, and dies before or after the one numbered `fatal`."""

    def __init__(self, target: Any, countdown: Iterator[int], fatal: int, after: bool) -> None:
        self._target, self._countdown, self._fatal, self._after = target, countdown, fatal, after

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._target, name)
        if not callable(value):
            return value

        def call(*arguments: Any, **named: Any) -> Any:
            number = next(self._countdown)
            if number == self._fatal and not self._after:
                raise Killed
            result = value(*arguments, **named)
            if number == self._fatal:
                raise Killed
            return result

        return call


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_node_killed_at_any_call_goes_on_to_the_same_result(
    federate: Callable[..., Federation], after: bool
) -> None:
    undisturbed = run(federate(name="undisturbed"))
    for fatal in range(1000):
        federation = federate(name=f"killed-{after}-{fatal}")
        if not run_with_one_death(federation, fatal, after):
            assert fatal > 20, "the node makes more calls than that"
            return
        assert federation.ledger.task_state(federation.task).parent_digest == undisturbed
    raise AssertionError("the node never got through")


def run_with_one_death(federation: Federation, fatal: int, after: bool) -> bool:
    """Run the task; kill the first member's node once, at its call number `fatal`. Says whether it died."""
    victim, *others = MEMBERS
    countdown = iter(range(10_000))
    ledger = Mortal(federation.ledger.acting_as(victim), countdown, fatal, after)
    store = Mortal(federation.store, countdown, fatal, after)
    died = False
    nodes = [federation.start(member) for member in others]
    mortal = federation.start(victim, ledger, store)
    for _ in range(200):
        try:
            step = mortal.step()
        except Killed:
            died, mortal = True, federation.start(victim)
            continue
        if [step.action, *(node.step().action for node in nodes)] == [Action.FINISHED] * 3:
            return died
    raise AssertionError("the task did not finish")


def test_an_update_is_trained_once_even_when_its_commitment_is_sent_twice(
    federation: Federation,
) -> None:
    node = federation.start(MEMBERS[0])
    node.step()
    federation.start(MEMBERS[0]).step()
    assert federation.learners[MEMBERS[0]].trained == 1


def test_an_update_that_a_second_node_committed_is_left_to_it(federation: Federation) -> None:
    """While one trains, another node of the member commits; their folders have different updates."""
    faster = federation.start(MEMBERS[0])

    class Overtaken(DriftingLearner):
        def train(self, *given: Any, **options: Any) -> Trained:
            faster.step()
            return super().train(*given, **options)

    elsewhere = replace(federation, folder=federation.folder / "elsewhere")
    elsewhere.learners[MEMBERS[0]] = Overtaken(5)
    slower = elsewhere.start(MEMBERS[0])
    assert slower.step().receipt is None
    for member in MEMBERS[1:]:
        federation.start(member).step()
    step = slower.step()
    assert (step.action, step.receipt) == (Action.REVEAL, None)
    assert faster.step().receipt is not None


class TestTakePart:
    @pytest.mark.parametrize("error", [ChainUnreachable, ChainRefused, TransactionFailed])
    def test_waits_out_a_chain_that_is_away_and_a_transaction_that_failed(
        self, federate: Callable[..., Federation], error: type[Exception]
    ) -> None:
        federation = federate(
            small_manifest(MEMBERS[:1], rounds={"count": 1, "cohort_floor": 1, "min_updates": 1})
        )
        ledger = Flaky(federation.ledger.acting_as(MEMBERS[0]), error("away"), 3)
        notices: list[object] = []
        pauses: list[float] = []
        take_part(
            federation.start(MEMBERS[0], ledger), notices.append, poll=1.0, sleep=pauses.append
        )
        assert [str(notice) for notice in notices[:3]] == ["away"] * 3
        assert pauses[:3] == [1.0, 2.0, 4.0]
        assert federation.ledger.task_state(federation.task).phase is Phase.FINISHED

    def test_a_step_that_takes_long_is_part_of_the_pause(
        self, federation: Federation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = SimpleNamespace(monotonic=itertools.count(0, 0.25).__next__)
        monkeypatch.setattr("fl_node.member.taking_part.time", clock)

        def pause(seconds: float) -> None:
            assert seconds == 0.75
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            take_part(federation.start(MEMBERS[0]), lambda notice: None, sleep=pause)

    def test_gives_up_when_patience_is_over(self, federation: Federation) -> None:
        ledger = Flaky(federation.ledger.acting_as(MEMBERS[0]), StoreUnusable("full"), 10_000)
        with pytest.raises(StoreUnusable, match="full"):
            take_part(
                federation.start(MEMBERS[0], ledger),
                lambda notice: None,
                patience=100,
                sleep=lambda seconds: None,
            )


class Flaky:
    """A ledger whose state cannot be read the first `times` times."""

    def __init__(self, target: Any, error: Exception, times: int) -> None:
        self._target, self._error, self._left = target, error, times

    def look(self, task: int) -> Look:
        if self._left:
            self._left -= 1
            raise self._error
        looked: Look = self._target.look(task)
        return looked

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


class Reorganised:
    """A ledger that once had higher blocks: what it shows later lies below what a node remembers."""

    def __init__(self, target: Any) -> None:
        self._target, self.ahead = target, 1_000

    def history(self, task: int, from_block: int = 0) -> list[Entry]:
        entries = (
            replace(entry, block_number=entry.block_number + self.ahead)
            for entry in self._target.history(task)
        )
        return [entry for entry in entries if entry.block_number >= from_block]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


def test_a_node_reads_the_log_again_after_a_reorganisation(federation: Federation) -> None:
    ledger = Reorganised(federation.ledger.acting_as(MEMBERS[0]))
    nodes = [federation.start(MEMBERS[0], ledger), *map(federation.start, MEMBERS[1:])]
    for _ in range(50):
        for node in nodes:
            node.step()
        if ledger.task_state(federation.task).round == 2:
            ledger.ahead = 0
    assert ledger.task_state(federation.task).phase is Phase.FINISHED


def test_members_who_disagree_abort_the_round_and_it_is_reopened(federation: Federation) -> None:
    ledger, task = federation.ledger, federation.task
    nodes = [federation.start(member) for member in MEMBERS]
    while ledger.task_state(task).phase is not Phase.ATTEST:
        for node in nodes:
            node.step()
            if ledger.task_state(task).phase is Phase.ATTEST:
                break
    for number, member in enumerate(MEMBERS):
        ledger.acting_as(member).attest(task, 1, bytes([number + 1] * 32), 0b111)
    events = [entry.event for entry in ledger.history(task)]
    assert any(isinstance(event, RoundAborted) for event in events)
    run(federation)
    assert [event.included for event in finalised(federation)] == [0b111, 0b111]


class DivergingLearner(DriftingLearner):
    """Never gets anywhere."""

    def train(self, *arguments: Any) -> Trained:
        raise TrainingDiverged("the losses are no longer finite")


def test_a_member_whose_training_diverges_declines_and_nobody_waits(
    federation: Federation,
) -> None:
    federation.learners[MEMBERS[0]] = DivergingLearner(1)
    start = federation.clock.time
    run(federation)
    assert [event.included for event in finalised(federation)] == [0b110, 0b110]
    assert federation.clock.time == start


@pytest.mark.parametrize("reason", [TrainingDiverged, TrainingFailed, PolicyForbids])
def test_whatever_keeps_an_update_back_the_member_says_it_in_one_line(
    federation: Federation, reason: type[NothingToSend]
) -> None:
    class Failing(DriftingLearner):
        def train(self, *arguments: Any) -> Trained:
            raise reason("line 3:\n\x1b[2J  KeyError")

    federation.learners[MEMBERS[0]] = Failing(1)
    step = federation.start(MEMBERS[0]).step()
    assert (step.action, step.reason) == (Action.SKIP, r"line 3: \x1b[2J KeyError")
    assert step.receipt is not None


class TestPolicy:
    @pytest.mark.parametrize(
        ("policy", "reason"),
        [
            (Policy(most_examples=9), "states 10 examples; the node's policy allows 9"),
            (Policy(most_bytes=100), "bytes; the node's policy allows 100"),
        ],
    )
    def test_what_it_does_not_allow_does_not_leave(
        self, federation: Federation, policy: Policy, reason: str
    ) -> None:
        step = federation.start(MEMBERS[0], policy=policy).step()
        assert step.action is Action.SKIP
        assert reason in step.reason
        assert not list((federation.folder / MEMBERS[0]).glob("round-*"))

    def test_the_others_go_on_without_that_member(self, federation: Federation) -> None:
        nodes = [federation.start(member, policy=Policy(most_examples=29)) for member in MEMBERS]
        while nodes[0].step().action is not Action.FINISHED:
            for node in nodes[1:]:
                node.step()
        assert [event.included for event in finalised(federation)] == [0b011, 0b011]

    def test_what_it_allows_leaves_as_it_is(
        self, federation: Federation, federate: Callable[..., Federation]
    ) -> None:
        wide = Policy(most_examples=1000, most_bytes=1 << 20, clip=Decimal(1000))
        other = federate(name="other")
        for one, policy in ((federation, wide), (other, Policy())):
            one.start(MEMBERS[0], policy=policy).step()
        folders = [one.folder / MEMBERS[0] / "round-00001" for one in (federation, other)]
        blobs = [(folder / "update.blob").read_bytes() for folder in folders]
        assert blobs[0] == blobs[1]


class TestDryRun:
    def test_it_sends_nothing_and_keeps_nothing(self, federation: Federation) -> None:
        run_of = federation.start(MEMBERS[0]).dry_run()
        assert run_of.num_examples == 10
        assert run_of.objections == ()
        assert federation.ledger.task_state(federation.task).committed == 0
        assert not list((federation.folder / MEMBERS[0]).glob("*-0*"))
        assert federation.start(MEMBERS[0]).step().action is Action.COMMIT

    def test_it_trains_for_the_round_that_is_open(self, federation: Federation) -> None:
        federation.ledger.acting_as(MEMBERS[2]).skip(federation.task, 1)
        while federation.ledger.task_state(federation.task).round == 1:
            for member in MEMBERS[:2]:
                federation.start(member).step()
        learner = federation.learners[MEMBERS[0]]
        before = federation.start(MEMBERS[0]).dry_run()
        assert before.training_loss == 500_000  # of its second round: it goes on from what it kept
        assert learner.trained == 2

    def test_what_would_keep_an_update_back_is_raised(self, federation: Federation) -> None:
        federation.learners[MEMBERS[0]] = DivergingLearner(1)
        with pytest.raises(TrainingDiverged):
            federation.start(MEMBERS[0]).dry_run()

    def test_a_finished_task_has_no_round_to_train_for(self, federation: Federation) -> None:
        run(federation)
        with pytest.raises(Misuse, match="finished"):
            federation.start(MEMBERS[0]).dry_run()


def test_a_round_that_all_decline_keeps_its_parent(federation: Federation) -> None:
    for number, member in enumerate(MEMBERS):
        federation.learners[member] = DivergingLearner(number)
    genesis = federation.ledger.task_state(federation.task).genesis_digest
    assert run(federation) == genesis


def with_strategy(federate: Callable[..., Federation], **strategy: Any) -> Federation:
    manifest = small_manifest(strategy=strategy, rounds={"count": 3, "min_updates": 1})
    return federate(manifest)


def end_round_1(federation: Federation) -> None:
    while federation.ledger.task_state(federation.task).round == 1:
        for member in MEMBERS:
            federation.start(member).step()


ONLY_RELEVANT = {"kind": "relevance", "threshold": 1}


def test_a_member_whose_update_is_not_worth_sending_says_why_it_declines(
    federate: Callable[..., Federation],
) -> None:
    federation = with_strategy(federate, send=ONLY_RELEVANT)
    end_round_1(federation)  # which has no last one to point where it went, so that everybody sends
    step = federation.start(MEMBERS[0]).step()
    assert (step.action, step.reason) == (Action.SKIP, "the update was not worth sending")


def test_what_was_declined_is_declined_after_a_restart_without_training_again(
    federate: Callable[..., Federation],
) -> None:
    federation = with_strategy(federate, send=ONLY_RELEVANT)
    end_round_1(federation)
    trained = federation.learners[MEMBERS[0]].trained

    class NotNow:
        def __getattr__(self, name: str) -> Any:
            if name == "skip":
                raise ChainUnreachable("unplugged")
            return getattr(federation.ledger.acting_as(MEMBERS[0]), name)

    with pytest.raises(ChainUnreachable):
        federation.start(MEMBERS[0], ledger=NotNow()).step()
    assert federation.start(MEMBERS[0]).step().action is Action.SKIP
    assert federation.learners[MEMBERS[0]].trained == trained + 1


def test_a_log_that_lags_behind_the_state_is_no_past_to_train_by(
    federate: Callable[..., Federation],
) -> None:
    federation = with_strategy(federate, send=ONLY_RELEVANT)
    end_round_1(federation)

    class Lagging:
        def __getattr__(self, name: str) -> Any:
            return getattr(federation.ledger.acting_as(MEMBERS[0]), name)

        def history(self, task: int, first_block: int = 0) -> list[Entry]:
            return [
                entry
                for entry in federation.ledger.history(task, first_block)
                if not isinstance(entry.event, RoundFinalised)
            ]

    with pytest.raises(HistoryInvalid, match="does not lead to its history head"):
        federation.start(MEMBERS[0], ledger=Lagging()).step()


@pytest.mark.parametrize("train", ["adaptive_proximal", "scaffold", "ditto"])
def test_what_a_training_keeps_survives_a_restart_in_every_step(
    federate: Callable[..., Federation], train: str
) -> None:
    undisturbed = run(with_strategy(federate, train=train))
    federation = federate(
        small_manifest(strategy={"train": train}, rounds={"count": 3, "min_updates": 1}), "killed"
    )
    while federation.ledger.task_state(federation.task).phase is not Phase.FINISHED:
        for member in MEMBERS:
            federation.start(member).step()
    assert federation.ledger.task_state(federation.task).parent_digest == undisturbed


def test_who_has_aggregated_a_round_does_not_download_its_model(federation: Federation) -> None:
    """What a member downloads is the updates, which codecs make small; the model it makes itself."""
    fetched: list[bytes] = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(federation.store, name)

        def get(self, digest: bytes, max_bytes: int) -> memoryview:
            fetched.append(digest)
            return federation.store.get(digest, max_bytes)

    nodes = [federation.start(MEMBERS[0], store=Counting())]
    nodes += [federation.start(member) for member in MEMBERS[1:]]
    while {node.step().action for node in nodes} != {Action.FINISHED}:
        pass
    genesis = federation.ledger.task_state(federation.task).genesis_digest
    models = {event.aggregate_digest for event in finalised(federation)} | {genesis}
    assert [digest for digest in fetched if digest in models] == [genesis]
