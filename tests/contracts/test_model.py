"""The contract against its model: the same calls, valid and not, at the same times; nothing may differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from evm_ledger import EvmChain, EvmLedger
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from stage import TERMS, opening_of

from chain.acts import RELAYED, Act, Relayed, sign_act, write_call
from chain.errors import CallRejected
from chain.history import commitment_of
from chain.ledger import Ledger
from chain.memory_ledger import MemoryLedger
from chain.types import (
    AttestOpened,
    MembersMissed,
    Phase,
    RevealOpened,
    RoundAborted,
    RoundFinalised,
    TaskFinished,
    TaskState,
    Terms,
    indices,
)

MEMBERS = 4
CALLERS = st.integers(0, MEMBERS)  # the last is no member
OFFSETS = st.sampled_from([0, 0, 0, 0, 1, -1])
AGREED, DISSENT = bytes([3]) * 32, bytes([4]) * 32
SOME = st.sampled_from([0, 0, 0, 0b0001, 0b0110, 0b1000, 0b1111])  # members, as a bitmap
SPOILED = st.sampled_from(["", "", "", "task", "round", "attempt", "member", "long", "short"])
TASKS = st.integers(1, 2)
ROUND_PHASES = (Phase.COMMIT, Phase.REVEAL, Phase.ATTEST)
REACHED = (RevealOpened, AttestOpened, RoundFinalised, TaskFinished, RoundAborted, MembersMissed)
SLOW = [pytest.mark.slow, pytest.mark.timeout(600)]

Deed = Callable[[Ledger], object]


def terms() -> st.SearchStrategy[Terms]:
    """Mostly valid, short terms."""
    return st.builds(
        Terms,
        rounds=st.integers(1, 3),
        commit_window=st.integers(10, 30),
        reveal_window=st.integers(10, 30),
        attest_window=st.integers(10, 30),
        cohort_fraction=st.sampled_from([1, 5_000, 7_500, 10_000]),
        cohort_floor=st.integers(1, MEMBERS),
        min_updates=st.integers(1, 2),
        quorum=st.sampled_from([4_999, 5_000, 6_666, 9_999]),
    )


class ContractAndModel(RuleBasedStateMachine):
    """Two ledgers in step. The model is given what only the chain knows: the time."""

    deployed: EvmChain
    reached: Counter[str]
    """How often each event was recorded, and each kind of refusal made, over all examples."""

    def __init__(self) -> None:
        super().__init__()
        chain = self.deployed
        self.snapshot = chain.tester.take_snapshot()
        self.accounts = chain.accounts[: MEMBERS + 1]
        self.contract = EvmLedger(chain, self.accounts[0])
        self.time = 0
        self.model = MemoryLedger(
            self.accounts[0],
            chain_id=self.contract.chain_id,
            contract=self.contract.contract,
            clock=lambda: self.time,
        )

    def teardown(self) -> None:
        self.deployed.tester.revert_to_snapshot(self.snapshot)

    def both(self, caller: int, call: Deed) -> None:
        """Make a call on both; outcome, events and state must be the same."""
        account = self.accounts[caller]
        self.time = self.deployed.time
        on_chain = outcome(call, self.contract.acting_as(account))
        self.reached.update(names_of(on_chain))
        assert outcome(call, self.model.acting_as(account)) == on_chain
        assert self.contract.task_count() == self.model.task_count()
        for task in range(1, self.model.task_count() + 1):
            assert self.contract.task_state(task) == self.model.task_state(task)

    def commitment(self, task: int, round: int, caller: int) -> bytes:
        ledger, client = self.model, self.accounts[caller]
        return commitment_of(
            ledger.chain_id, ledger.contract, task, round, client, opening_of(caller)
        )

    @initialize(terms=terms(), final_rounds=st.integers(0, 3))
    def open_valid(self, terms: Terms, final_rounds: int) -> None:
        terms = replace(terms, min_updates=1, quorum=max(terms.quorum, TERMS.quorum))
        self.both(0, lambda ledger: ledger.open_task(*digests(), self.accounts[:MEMBERS], terms))
        for _ in range(final_rounds):
            self.play_a_round(1)

    @rule(caller=CALLERS, terms=terms(), members=st.integers(0, MEMBERS))
    def open_another(self, caller: int, terms: Terms, members: int) -> None:
        self.both(
            caller, lambda ledger: ledger.open_task(*digests(), self.accounts[:members], terms)
        )

    @rule(task=TASKS, missing=SOME, declining=SOME, slipping=SOME, dissenting=SOME)
    def play_a_phase(
        self, task: int, missing: int, declining: int, slipping: int, dissenting: int
    ) -> None:
        """Everybody who may act does what is next; but some do nothing, some skip, some err at first, some disagree."""
        if task > self.model.task_count():
            return
        before = self.model.task_state(task)
        for caller in indices(before.awaited & ~missing):
            if stage(self.model.task_state(task)) != stage(before):
                break  # a quorum is there
            digest = DISSENT if dissenting >> caller & 1 else AGREED
            acts = [self.right_act(before, task, caller, digest)]
            if slipping >> caller & 1:
                acts = [*self.wrong_acts(before, task, caller), *acts, *acts]
            if declining >> caller & 1:
                acts.insert(0, lambda ledger: ledger.skip(task, before.round))
            for act in acts:
                self.both(caller, act)

    @rule(task=TASKS)
    def play_a_round(self, task: int) -> None:
        """Everybody acts and agrees, until the round is final."""
        for _ in ROUND_PHASES:
            self.play_a_phase(task, 0, 0, 0, 0)

    def right_act(self, state: TaskState, task: int, caller: int, digest: bytes) -> Deed:
        round, opening = state.round, opening_of(caller)
        match state.phase:
            case Phase.COMMIT:
                commitment = self.commitment(task, round, caller)
                return lambda ledger: ledger.commit(task, round, commitment)
            case Phase.REVEAL:
                return lambda ledger: ledger.reveal(task, round, opening)
            case _:
                return lambda ledger: ledger.attest(task, round, digest, state.revealed)

    def wrong_acts(self, state: TaskState, task: int, caller: int) -> list[Deed]:
        round, opening = state.round, opening_of(caller)
        match state.phase:
            case Phase.COMMIT:
                commitment = self.commitment(task, round, caller)
                return [
                    lambda ledger: ledger.commit(task, round, bytes(32)),
                    lambda ledger: ledger.commit(task, round + 1, commitment),
                ]
            case Phase.REVEAL:
                return [
                    lambda ledger: ledger.reveal(task, round, replace(opening, num_examples=0)),
                    lambda ledger: ledger.reveal(task, round, replace(opening, salt=bytes(32))),
                    lambda ledger: ledger.reveal(task, round - 1, opening),
                ]
            case _:
                return [
                    lambda ledger: ledger.attest(task, round, AGREED, state.revealed + 1),
                    lambda ledger: ledger.attest(task, round, AGREED, 0),
                    lambda ledger: ledger.attest(task, round, bytes(32), state.revealed),
                    lambda ledger: ledger.attest(task, round, AGREED, 1 << MEMBERS),
                ]

    @rule(phase=st.sampled_from(ROUND_PHASES), task=st.integers(0, 3), caller=CALLERS)
    def act(self, phase: Phase, task: int, caller: int) -> None:
        """An act of any phase, by anybody, in whatever phase the task is."""
        state = self.model.task_state(max(1, min(task, self.model.task_count())))
        self.both(caller, self.right_act(replace(state, phase=phase), task, caller, AGREED))

    @rule(caller=CALLERS, task=TASKS, offset=OFFSETS)
    def skip(self, caller: int, task: int, offset: int) -> None:
        if task <= self.model.task_count():
            round = self.model.task_state(task).round + offset
            self.both(caller, lambda ledger: ledger.skip(task, round))

    @rule(caller=CALLERS, task=st.integers(0, 2))
    def advance(self, caller: int, task: int) -> None:
        self.both(caller, lambda ledger: ledger.advance(task))

    @rule(caller=CALLERS, task=TASKS)
    def rejoin(self, caller: int, task: int) -> None:
        self.both(caller, lambda ledger: ledger.rejoin(task))

    @rule(task=TASKS)
    def all_rejoin(self, task: int) -> None:
        if task <= self.model.task_count():
            for caller in indices(self.model.task_state(task).absent):
                self.both(caller, lambda ledger: ledger.rejoin(task))

    @rule(task=TASKS, acts=st.lists(st.tuples(CALLERS, st.sampled_from(RELAYED), SPOILED)))
    def relay(self, task: int, acts: list[tuple[int, Relayed, str]]) -> None:
        """Acts of anybody, some of them spoiled, in one transaction."""
        if task <= self.model.task_count():
            signed = [self.signed(task, *act) for act in acts]
            self.both(MEMBERS, lambda ledger: ledger.relay(task, signed))

    def signed(self, task: int, caller: int, name: Relayed, spoiled: str) -> Act:
        state, opening = self.model.task_state(task), opening_of(caller)
        round, attempt = state.round, state.attempt
        arguments: dict[Relayed, tuple[object, ...]] = {
            "commit": (round, self.commitment(task, round, caller)),
            "skip": (round,),
            "reveal": (round, opening),
            "attest": (round, AGREED, state.revealed),
            "rejoin": (),
        }
        call = write_call(name, 3 - task if spoiled == "task" else task, *arguments[name])
        place = (self.model.chain_id, self.model.contract)
        when = (round + (spoiled == "round"), attempt + (spoiled == "attempt"))
        act = sign_act(self.deployed.signers[self.accounts[caller]], *place, *when, call)
        match spoiled:
            case "member":
                return replace(act, member=self.accounts[0])
            case "long":
                return replace(act, call=act.call + bytes(20))
            case "short":
                return replace(act, call=act.call[:35])
            case _:
                return act

    @rule(seconds=st.integers(1, 40))
    def wait(self, seconds: int) -> None:
        self.deployed.travel(self.deployed.time + seconds)

    @rule()
    def miss_the_deadline(self) -> None:
        deadline = self.model.task_state(1).deadline
        self.deployed.travel(max(self.deployed.time, deadline + 1))
        self.both(MEMBERS, lambda ledger: ledger.advance(1))


def digests() -> tuple[bytes, bytes]:
    return bytes([1]) * 32, bytes([2]) * 32


def stage(state: TaskState) -> tuple[int, int, Phase]:
    """A phase of an attempt at a round."""
    return state.round, state.attempt, state.phase


def names_of(outcome: object) -> list[str]:
    """The events that a call led to, or its error, by name."""
    several = outcome if isinstance(outcome, list) else [outcome]
    return [type(item).__name__ for item in several]


def outcome(call: Deed, ledger: Ledger) -> object:
    """What a call led to: its events, or its error."""
    try:
        return [entry.event for entry in call(ledger).entries]
    except CallRejected as error:
        return error


@pytest.mark.parametrize("examples", [8, pytest.param(20, marks=SLOW)])
def test_contract_and_model_agree(deployed: EvmChain, examples: int) -> None:
    ContractAndModel.deployed = deployed
    ContractAndModel.reached = Counter()
    run_state_machine_as_test(
        ContractAndModel,
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            deadline=None,
            derandomize=examples == 8,
            suppress_health_check=list(HealthCheck),
        ),
    )
    # Each is usually reached once or twice an example; hardly ever would mean that the calls miss the point.
    for event in REACHED:
        assert ContractAndModel.reached[event.__name__] >= max(1, examples // 10), event
