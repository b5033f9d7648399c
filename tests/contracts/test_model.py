"""The contract against its model: the same calls, valid and not, at the same times; nothing may differ."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from evm_ledger import EvmChain, EvmLedger
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from stage import TERMS, opening_of

from chain.errors import CallRejected
from chain.history import commitment_of
from chain.ledger import Ledger
from chain.memory_ledger import MemoryLedger
from chain.types import Phase, RoundOpened, Terms

MEMBERS = 4
CALLERS = st.integers(0, MEMBERS)  # the last is no member
OFFSETS = st.sampled_from([0, 0, 0, 0, 1, -1])
DIGESTS = st.sampled_from([bytes(32), bytes([3]) * 32, bytes([4]) * 32])
SLOW = pytest.mark.slow


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
    """Two ledgers in step. The model is given what only the chain knows: the time and the seed."""

    deployed: EvmChain

    def __init__(self) -> None:
        super().__init__()
        chain = self.deployed
        self.snapshot = chain.tester.take_snapshot()
        self.accounts = chain.accounts[: MEMBERS + 1]
        self.contract = EvmLedger(chain, self.accounts[0])
        self.seeds: list[bytes] = []
        self.time = 0
        self.model = MemoryLedger(
            self.accounts[0],
            chain_id=self.contract.chain_id,
            contract=self.contract.contract,
            clock=lambda: self.time,
            seed_source=lambda *_: self.seeds.pop(0),
        )

    def teardown(self) -> None:
        self.deployed.tester.revert_to_snapshot(self.snapshot)

    def both(self, caller: int, call: Callable[[Ledger], object]) -> None:
        """Make a call on both; outcome, events and state must be the same."""
        account = self.accounts[caller]
        self.time = self.deployed.time
        on_chain = outcome(call, self.contract.acting_as(account))
        if isinstance(on_chain, list):
            self.seeds = [event.seed for event in on_chain if isinstance(event, RoundOpened)]
        assert outcome(call, self.model.acting_as(account)) == on_chain
        assert self.contract.task_count() == self.model.task_count()
        for task in range(1, self.model.task_count() + 1):
            assert self.contract.task_state(task) == self.model.task_state(task)

    def opening(self, task: int, round: int, caller: int) -> bytes:
        ledger, client = self.model, self.accounts[caller]
        return commitment_of(
            ledger.chain_id, ledger.contract, task, round, client, opening_of(caller)
        )

    def round_of(self, task: int) -> int:
        return self.model.task_state(task).round if 0 < task <= self.model.task_count() else 1

    @initialize(terms=terms())
    def open_valid(self, terms: Terms) -> None:
        terms = replace(terms, min_updates=1, quorum=max(terms.quorum, TERMS.quorum))
        self.both(0, lambda ledger: ledger.open_task(*digests(), self.accounts[:MEMBERS], terms))

    @rule(caller=CALLERS, terms=terms(), members=st.integers(0, MEMBERS))
    def open_another(self, caller: int, terms: Terms, members: int) -> None:
        self.both(
            caller, lambda ledger: ledger.open_task(*digests(), self.accounts[:members], terms)
        )

    @rule(task=st.integers(1, 2), members=st.sets(st.integers(0, MEMBERS - 1)), digest=DIGESTS)
    def act_as_asked(self, task: int, members: set[int], digest: bytes) -> None:
        """Some members do the one thing that is next."""
        for caller in sorted(members):
            if task <= self.model.task_count():
                self.next_act(task, caller, digest)

    def next_act(self, task: int, caller: int, digest: bytes) -> None:
        state = self.model.task_state(task)
        round, commitment = state.round, self.opening(task, state.round, caller)
        match state.phase:
            case Phase.COMMIT:
                self.both(caller, lambda ledger: ledger.commit(task, round, commitment))
            case Phase.REVEAL:
                self.both(caller, lambda ledger: ledger.reveal(task, round, opening_of(caller)))
            case Phase.ATTEST:
                self.both(caller, lambda ledger: ledger.attest(task, round, digest, state.eligible))

    @rule(caller=CALLERS, task=st.integers(0, 3), offset=OFFSETS, empty=st.booleans())
    def commit(self, caller: int, task: int, offset: int, empty: bool) -> None:
        round = self.round_of(task) + offset
        commitment = bytes(32) if empty else self.opening(task, round, caller)
        self.both(caller, lambda ledger: ledger.commit(task, round, commitment))

    @rule(caller=CALLERS, task=st.integers(1, 2), offset=OFFSETS)
    def skip(self, caller: int, task: int, offset: int) -> None:
        round = self.round_of(task) + offset
        self.both(caller, lambda ledger: ledger.skip(task, round))

    @rule(caller=CALLERS, other=CALLERS, examples=st.sampled_from([0, 1, 100, 2**64 - 1]))
    def reveal(self, caller: int, other: int, examples: int) -> None:
        opening = replace(opening_of(other), num_examples=examples)
        round = self.round_of(1)
        self.both(caller, lambda ledger: ledger.reveal(1, round, opening))

    @rule(caller=CALLERS, digest=DIGESTS, included=st.integers(0, 2**MEMBERS))
    def attest(self, caller: int, digest: bytes, included: int) -> None:
        round = self.round_of(1)
        self.both(caller, lambda ledger: ledger.attest(1, round, digest, included))

    @rule(caller=CALLERS, task=st.integers(0, 2))
    def advance(self, caller: int, task: int) -> None:
        self.both(caller, lambda ledger: ledger.advance(task))

    @rule(caller=CALLERS, task=st.integers(1, 2))
    def rejoin(self, caller: int, task: int) -> None:
        self.both(caller, lambda ledger: ledger.rejoin(task))

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


def outcome(call: Callable[[Ledger], object], ledger: Ledger) -> object:
    """What a call led to: its events, or its error."""
    try:
        return [entry.event for entry in call(ledger).entries]
    except CallRejected as error:
        return error


@pytest.mark.parametrize("examples", [4, pytest.param(100, marks=SLOW)])
def test_contract_and_model_agree(deployed: EvmChain, examples: int) -> None:
    ContractAndModel.deployed = deployed
    run_state_machine_as_test(
        ContractAndModel,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            derandomize=examples == 4,
            suppress_health_check=list(HealthCheck),
        ),
    )
