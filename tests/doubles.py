"""Stand-ins behind the production interfaces, small enough to be believed: a learner without torch, a clock, a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from chain.memory_ledger import MemoryLedger
from chain.types import Address, Phase, TaskState, Terms
from fl_node.arrays import Arrays
from fl_node.blobs.global_state import first_state
from fl_node.blobs.store import Store, open_store
from fl_node.errors import ManifestInvalid
from fl_node.learner import Assignment, Measured, StepProgress, Trained, no_progress
from fl_node.manifest.manifest import Manifest, build_manifest
from fl_node.member.next_action import Action
from fl_node.member.opening import open_task
from fl_node.member.participant import Participant
from fl_node.member.state import Membership, NodeState
from fl_node.round.policy import OPEN, Policy

MEMBERS = tuple(Address(f"0x{number:040x}") for number in (0x11, 0x22, 0x33))
NOBODY = Address("0x" + "00" * 19 + "99")

MANIFEST, GENESIS, MODEL = (bytes([number]) * 32 for number in (1, 2, 3))
TERMS = Terms(
    rounds=2,
    commit_window=100,
    reveal_window=100,
    attest_window=100,
    cohort_fraction=10_000,
    cohort_floor=2,
    min_updates=2,
    quorum=5_000,
)
"""Of a task whose blobs nobody reads."""


def state_at(phase: Phase, **changes: Any) -> TaskState:
    """A task's state in the first round, awaiting all of three members; `changes` replace its fields."""
    zero = bytes(32)
    state = TaskState(
        coordinator=NOBODY,
        manifest_digest=zero,
        genesis_digest=zero,
        terms=Terms(1, 10, 10, 10, 10_000, 1, 1, 5_000),
        member_count=3,
        phase=phase,
        round=1,
        attempt=0,
        deadline=100,
        cohort=0b111,
        awaited=0b111,
        committed=0,
        revealed=0,
        absent=0,
        lead_votes=0,
        parent_digest=zero,
        history_head=zero,
    )
    return replace(state, **changes)


def small_manifest(members: tuple[str, ...] = MEMBERS, **changes: Any) -> Manifest:
    """A valid manifest of two rounds; `changes` replace its sections."""
    values: dict[str, Any] = {
        "name": "test",
        "seed": 5,
        "members": list(members),
        "rounds": {"count": 2},
    }
    return build_manifest({**values, **changes})


def refusal(strategy: Any, updates: int = 2, learner: Any = "gan") -> str:
    """Why a manifest with this strategy, whose rounds need so many updates, is refused; empty if it is not."""
    members = tuple(f"0x{number:040x}" for number in range(1, updates + 1))
    rounds = {"count": 2, "min_updates": updates, "cohort_floor": updates}
    try:
        small_manifest(members, strategy=strategy, learner=learner, rounds=rounds)
    except ManifestInvalid as refused:
        return str(refused)
    return ""


def small_genesis() -> dict[str, np.ndarray[Any, Any]]:
    """Two small tensors."""
    return {
        "generator.bias": np.zeros(3, np.float32),
        "generator.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    }


@dataclass
class DriftingLearner:
    """Learns nothing, but depends on everything a learner may depend on: model, private state, seed and data."""

    data: int
    trained: int = 0

    def steps_for(self, epochs: int) -> int:
        return epochs * self.data

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        self.trained += 1
        rounds = 1 + _rounds(assignment.private)
        random = np.random.default_rng([assignment.seed, self.data, rounds])
        drifted = {
            name: (array + random.normal(size=array.shape)).astype(array.dtype)
            for name, array in assignment.model.items()
        }
        gradient = None
        if assignment.correction is not None:
            gradient = {name: np.asarray(drifted[name] - 1) for name in drifted}
        return Trained(
            shared=drifted,
            private={"rounds": np.array([rounds])},
            num_examples=10 * self.data,
            steps=assignment.steps,
            training_loss=1.0 / rounds,
            mean_gradient=gradient,
        )

    def measure(self, model: Arrays, private: Arrays | None, training: bool = False) -> Measured:
        return Measured(2.0 / (1 + _rounds(private)))


STATING = {
    "kind": "module",
    "code": "12" * 32,
    "genesis": "34" * 32,
    "entry": "net:Net",
    "metrics": ["accuracy", "auc", "kid"],
    "requires": ["torch>=2.6", "scikit-learn"],
}
"""A learner in a manifest, whose updates state metrics and versions."""


@dataclass
class StatingLearner(DriftingLearner):
    """Drifts, and states what it measured and ran."""

    in_training: Mapping[str, float] = field(default_factory=dict)
    held_out: Mapping[str, float] = field(default_factory=dict)
    versions: Mapping[str, str] = field(
        default_factory=lambda: {"torch": "2.15.0", "numpy": "2", "scikit-learn": "1.9"}
    )

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        trained = super().train(assignment, progress)
        return replace(trained, metrics=self.in_training, versions=self.versions)

    def measure(self, model: Arrays, private: Arrays | None, training: bool = False) -> Measured:
        return replace(super().measure(model, private, training), metrics=self.held_out)


def _rounds(private: Arrays | None) -> int:
    return 0 if private is None else int(private["rounds"][0])


@dataclass
class Clock:
    """The chain's time, moved by hand."""

    time: int = 1_000_000

    def __call__(self) -> int:
        return self.time


@dataclass
class Federation:
    """A task on a `MemoryLedger` with one node for each member, and everything needed to start a node again."""

    folder: Path
    ledger: MemoryLedger
    store: Store
    manifest: Manifest
    task: int
    clock: Clock
    learners: dict[Address, DriftingLearner] = field(default_factory=dict)

    def start(
        self, member: Address, ledger: Any = None, store: Any = None, policy: Policy = OPEN
    ) -> Participant:
        """Start the member's node, as after a crash: only folder, chain and store are what they were."""
        index = self.manifest.addresses.index(member)
        learner = self.learners.setdefault(member, DriftingLearner(index + 1))
        acting = ledger or self.ledger.acting_as(member)
        membership = Membership(acting.chain_id, acting.contract, self.task, member)
        state = NodeState(self.folder / member, membership)
        state.close()  # The lock is for processes; tests start a node many times in one.
        parts = (acting, store or self.store, learner, self.task, self.manifest, state)
        return Participant(*parts, policy=policy)


def federation_in(
    folder: Path, manifest: Manifest | None = None, genesis: Arrays | None = None
) -> Federation:
    """Open a task on a fresh ledger, with a fresh store in a folder."""
    clock = Clock()
    manifest = manifest or small_manifest()
    ledger = MemoryLedger(clock=clock)
    store = open_store(folder / "store")
    state = first_state(genesis or small_genesis(), manifest.strategy.slots)
    opened = open_task(ledger, store, manifest, state)
    return Federation(folder, ledger, store, manifest, opened.task, clock)


def run(federation: Federation, members: tuple[Address, ...] = MEMBERS) -> bytes:
    """Step the members' nodes in turn until the task is finished; the final digest."""
    nodes = [federation.start(member) for member in members]
    for _ in range(1000):
        steps = [node.step() for node in nodes]
        if all(step.action is Action.FINISHED for step in steps):
            return federation.ledger.task_state(federation.task).parent_digest
        if all(step.action in (Action.WAIT, Action.FINISHED) for step in steps):
            federation.clock.time += 1_000
    raise AssertionError("the task did not finish in 1000 steps")


def played_in(
    folder: Path, manifest: Manifest | None = None, genesis: Arrays | None = None
) -> Federation:
    """A task as `federation_in` opens it, and every member has played it to its end."""
    federation = federation_in(folder, manifest, genesis)
    run(federation)
    return federation
