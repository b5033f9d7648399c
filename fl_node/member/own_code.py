"""A task's own code on this machine: from the manifest and the store to learners in child processes.

The order is fixed. A digest needs the member's consent, and the packages must be there; only then does anything run. A
path on one's own machine needs no consent: it is one's own file.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from fl_node.arrays import Arrays
from fl_node.blobs.model import decode_model
from fl_node.blobs.store import Store
from fl_node.child.learner import ChildLearner, build_genesis
from fl_node.child.setup import Setup
from fl_node.code.blob import Code
from fl_node.code.consent import verify_allowed
from fl_node.code.requirements import installed, verify_platform
from fl_node.errors import Misuse
from fl_node.learner import Assignment, Learner, Measured, StepProgress, Trained, no_progress
from fl_node.manifest.code_learners import CodeLearner, FlowerLearner, ModuleLearner
from fl_node.manifest.manifest import Manifest
from fl_node.manifest.packing import Draft
from fl_node.member.joining import stored_code
from fl_node.round.genesis import first_model, genesis_state

TRAINING_SECONDS = 3600.0
"""How long one call of a task's code may take, if nobody says anything else."""


@dataclass(frozen=True, slots=True)
class OwnCode:
    """A task's code, which may run here.

    Attributes:
        manifest: The task.
        learner: Its learner.
        code: What runs.
        model: The whole first model.
        versions: The installed versions of the packages that the manifest requires.
    """

    manifest: Manifest
    learner: CodeLearner
    code: Code
    model: Arrays
    versions: Mapping[str, str]

    @property
    def genesis(self) -> Arrays:
        """The global state that the task starts from; raises as `genesis_state` does."""
        return genesis_state(self.manifest, self.model)

    def on(
        self,
        data: str,
        *,
        rule: str = "iid",
        index: int = 0,
        count: int = 1,
        device: str | None = "cpu",
        threads: int = 1,
        timeout: float = TRAINING_SECONDS,
    ) -> ChildLearner:
        """A member's learner, in a process that starts when it is first needed.

        Args:
            data, rule, index, count, device, threads: As in `Setup`.
            timeout: Seconds that one call may take.
        """
        setup = replace(
            setup_of(self.manifest, self.learner),
            data=data,
            rule=rule,
            index=index,
            count=count,
            device=device,
            threads=threads,
        )
        return ChildLearner(setup, self.code, self.model, timeout=timeout, versions=self.versions)


def completed(draft: Draft, timeout: float = TRAINING_SECONDS) -> Draft:
    """A draft with its first model, which its code makes in a child process if it has yet to be made.

    Args:
        draft: Names its code by a path, if there is a model to make.
        timeout: Seconds that making it may take.

    Raises:
        CodeRefused: A package is missing, or the code fails, in one line.
        ManifestInvalid: A tensor of the model cannot be stored.
    """
    learner, code = draft.manifest.learner, draft.code
    if draft.maker is None or code is None or not isinstance(learner, CodeLearner):
        return draft
    verify_platform(code)
    installed(learner.requires)
    setup = setup_of(draft.manifest, learner, genesis=draft.maker)
    most = draft.manifest.limits.model_bytes
    return draft.with_model(build_genesis(setup, code, max_bytes=most, timeout=timeout))


def own_code(
    draft: Draft, learner: CodeLearner, store: Store | None, allowed: Collection[bytes]
) -> OwnCode:
    """The code and the first model of a complete draft, which may be named by digests.

    Args:
        draft: As `completed` gives it; a task's own manifest is one that names nothing by a path.
        learner: Its learner.
        store: The task's store; None if there is none.
        allowed: The digests of the code that the member allows.

    Raises:
        CodeRefused: The manifest names code by a digest that the member does not allow, or this machine lacks what the
            code needs.
        Misuse: Code or model are named by digests, and the store does not have them.
    """
    code = draft.code
    if code is None:
        verify_allowed(bytes.fromhex(learner.code), allowed)
        code = stored_code(learner, _given(store))
    verify_platform(code)
    versions = installed(learner.requires)
    return OwnCode(draft.manifest, learner, code, _model(draft, learner, store), versions)


def genesis_of(draft: Draft, learner: CodeLearner, store: Store) -> Arrays:
    """The global state that a complete draft's task starts from. Runs nothing, and makes sure that nothing is missing.

    Raises:
        Misuse: Code or model are named by digests, and the store does not have them.
        ManifestInvalid: As for `genesis_state`.
    """
    if draft.code is None:
        stored_code(learner, store)
    return genesis_state(draft.manifest, _model(draft, learner, store))


def setup_of(manifest: Manifest, learner: CodeLearner, genesis: str = "") -> Setup:
    """What a child is told of a task. The member's data, device and threads are the caller's to add.

    Args:
        manifest: The task.
        learner: Its learner.
        genesis: What makes the first model, if that is to be made.
    """
    losses = learner.losses if isinstance(learner, FlowerLearner) else None
    named = {} if losses is None else losses.model_dump(exclude_none=True)
    return Setup(
        kind=learner.kind,
        entry=learner.entry,
        genesis=genesis,
        knobs=learner.knobs,
        seed=manifest.seed,
        share=manifest.strategy.share.average,
        held_out=manifest.data.held_out,
        batch=learner.batch if isinstance(learner, ModuleLearner) else 0,
        metrics=learner.metrics,
        losses=named,
    )


def _model(draft: Draft, learner: CodeLearner, store: Store | None) -> Arrays:
    if draft.model is not None:
        return decode_model(draft.model)
    return first_model(draft.manifest, learner, _given(store))


def _given(store: Store | None) -> Store:
    if store is None:
        raise Misuse("the manifest names code or a model by digest: give the task's --store")
    return store


class Turns:
    """Runs few of many learners at a time: the one that has rested longest ends its process before another starts."""

    def __init__(self, most: int = 4) -> None:
        """Allow so many processes, > 0."""
        self._most = most
        self._running: list[ChildLearner] = []

    def __enter__(self) -> Turns:
        return self

    def __exit__(self, *_: object) -> None:
        for learner in self._running:
            learner.close()

    def learner(self, learner: ChildLearner) -> Learner:
        """The learner, which waits for its turn."""
        return _InTurn(learner, self)

    def give(self, learner: ChildLearner) -> ChildLearner:
        """The learner, which may have a process now."""
        if learner in self._running:
            self._running.remove(learner)
        elif len(self._running) == self._most:
            self._running.pop(0).close()
        self._running.append(learner)
        return learner


@dataclass(frozen=True, slots=True)
class _InTurn:
    """A learner among many that are not all running."""

    learner: ChildLearner
    turns: Turns

    def steps_for(self, epochs: int) -> int:
        """As `Learner.steps_for`."""
        return self.turns.give(self.learner).steps_for(epochs)

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        """As `Learner.train`."""
        return self.turns.give(self.learner).train(assignment, progress)

    def measure(self, model: Arrays, private: Arrays | None, training: bool = False) -> Measured:
        """As `Learner.measure`."""
        return self.turns.give(self.learner).measure(model, private, training)
