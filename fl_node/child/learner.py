"""A learner whose work a child process does: to the rest of the node it looks like any other."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

from chain.text import shown
from fl_node.arrays import Array, Arrays
from fl_node.child import replies, requests
from fl_node.child.frames import SMALL, Message, frame_of, message_of
from fl_node.child.process import PROGRAM, Child
from fl_node.child.setup import Setup
from fl_node.code.blob import Code
from fl_node.errors import (
    BlobMalformed,
    CodeRefused,
    DataUnusable,
    DeviceUnusable,
    GanchorError,
    ManifestInvalid,
    Misuse,
    NothingToSend,
    TrainingDiverged,
    TrainingFailed,
)
from fl_node.learner import Assignment, Measured, StepProgress, Trained, no_progress

OWN_BYTES = 64 << 20
"""What private arrays may take besides four times the model: its unshared part, and two moments of an optimiser."""

_REFUSALS: Final = {
    error.__name__: error
    for error in (CodeRefused, DataUnusable, DeviceUnusable, ManifestInvalid, Misuse)
}
"""What the child may say of the code, the data or the machine when it opens a learner."""


class ChildLearner:
    """Trains in a child process, which it starts when first needed, and anew after a failure.

    Whatever the task's code does, a call either returns what `Learner` promises or raises TrainingFailed, in one line.
    One thread may call it at a time. Used in a `with` statement, it opens the learner at the beginning and ends the
    process at the end.
    """

    def __init__(
        self,
        setup: Setup,
        code: Code,
        genesis: Arrays,
        *,
        timeout: float,
        versions: Mapping[str, str] | None = None,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        """Start nothing yet.

        Args:
            setup: What the child is told.
            code: The task's code, which the member has allowed.
            genesis: The whole model that the task starts from.
            timeout: Seconds that each call may take, > 0.
            versions: The installed versions of what the code requires (`installed`), which updates state.
            program: What Python runs in the child.
        """
        self._setup, self._code, self._genesis = setup, code, dict(genesis)
        self._timeout, self._versions, self._program = timeout, dict(versions or {}), program
        self._child: Child | None = None
        self._opened = False

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def open(self) -> None:
        """Start the child and open the learner on the member's data, unless that has been done.

        Raises:
            CodeRefused: The task's code cannot be run here; it raises an error, hangs or dies at the beginning.
            Misuse: The data or the device cannot be used, as the code or the shipped part of the learner says.
            TrainingFailed: The same, when it was opened before.
        """
        if self._child is not None:
            return
        try:
            self._child = _started(self._setup, self._code, self._program)
            self._ask(requests.open_request(self._setup, self._genesis), SMALL)
        except (Misuse, NothingToSend) as error:
            self.close()
            if self._opened:
                raise TrainingFailed(str(error)) from None
            raise _refusal(error) from None
        self._opened = True

    def close(self) -> None:
        """End the process, if there is one. A later call starts another."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def steps_for(self, epochs: int) -> int:
        """As `Learner.steps_for`.

        Raises:
            TrainingFailed, CodeRefused, Misuse: As for `open`, or the child does not answer as it should.
        """
        return replies.steps_of(self._answer(requests.steps_request(epochs), SMALL))

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        """As `Learner.train`.

        Raises:
            TrainingDiverged: The child says so, and is still in order.
            TrainingFailed, CodeRefused, Misuse: As for `steps_for`.
        """
        most = SMALL + 2 * _size(assignment.model) + self._max_private
        reply = self._answer(requests.train_request(assignment), most, progress)
        return replies.trained_of(reply, assignment, self._max_private, self._versions)

    def measure(self, model: Arrays, private: Arrays | None, training: bool = False) -> Measured:
        """As `Learner.measure`.

        Raises:
            TrainingFailed, CodeRefused, Misuse: As for `steps_for`.
        """
        request = requests.measure_request(model, private, training)
        return replies.measured_of(self._answer(request, SMALL))

    @property
    def _max_private(self) -> int:
        return 4 * _size(self._genesis) + OWN_BYTES

    def _answer(
        self, request: Message, max_bytes: int, progress: StepProgress = no_progress
    ) -> Message:
        self.open()
        try:
            return self._ask(request, max_bytes, progress)
        except Misuse as error:
            raise TrainingFailed(str(error)) from None

    def _ask(
        self, request: Message, max_bytes: int, progress: StepProgress = no_progress
    ) -> Message:
        assert self._child is not None
        try:
            return _exchange(self._child, request, max_bytes, self._timeout, progress)
        except TrainingDiverged:
            raise
        except (
            BaseException
        ):  # Also the caller's own, such as Ctrl-C: nobody is left to read the answer.
            self.close()
            raise


def build_genesis(
    setup: Setup,
    code: Code,
    *,
    max_bytes: int,
    timeout: float,
    program: Sequence[str] = PROGRAM,
) -> dict[str, Array]:
    """The whole model that the task's code starts from, made in a child process.

    Args:
        setup: What the child is told.
        code: The task's code.
        max_bytes: The most bytes of the model.
        timeout: Seconds that it may take, > 0.
        program: What Python runs in the child.

    Raises:
        CodeRefused: The code raises an error, hangs, dies, or gives what is no model, in one line.
        Misuse: As the code says.
    """
    child = None
    try:
        child = _started(setup, code, program)
        request = requests.genesis_request(setup)
        return replies.genesis_of(_exchange(child, request, SMALL + max_bytes, timeout))
    except (Misuse, NothingToSend) as error:
        raise _refusal(error) from None
    finally:
        if child is not None:
            child.stop()


def _started(setup: Setup, code: Code, program: Sequence[str]) -> Child:
    return Child(code, setup.entry.partition(":")[0], program)


def _exchange(
    child: Child,
    request: Message,
    max_bytes: int,
    seconds: float,
    progress: StepProgress = no_progress,
) -> Message:
    """Ask, pass on how far it is, and return the answer."""
    deadline = time.monotonic() + seconds
    child.send(frame_of(request), deadline)
    while True:
        reply = _read(child.receive(max_bytes, deadline))
        said = replies.interim(reply)
        if said is None:
            return reply
        if isinstance(said, replies.Failed):
            raise _error(said)
        progress(*said)


def _read(blob: memoryview) -> Message:
    try:
        return message_of(blob)
    except BlobMalformed as error:
        raise TrainingFailed(f"the task's code garbled its answer: {shown(error, 200)}") from None


def _error(said: replies.Failed) -> GanchorError:
    if said.error == TrainingDiverged.__name__:
        return TrainingDiverged(said.why)
    return _REFUSALS.get(said.error, TrainingFailed)(said.why)


def _refusal(error: GanchorError) -> Misuse:
    return error if isinstance(error, Misuse) else CodeRefused(str(error))


def _size(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays.values())
