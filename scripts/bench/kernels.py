"""What a CPU can say of a training step on a GPU, by running it on meta tensors, which have shapes but no values.

On meta tensors every wait for the device is an error, because there is no value to wait for. Kernels are counted as
PyTorch's operations without those that only look at memory. Convolutions, and operations on lists of tensors, can
launch several kernels each, and autocast on a GPU adds casts, so that the true number is somewhat higher.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD
from torch.utils._python_dispatch import TorchDispatchMode

from fl_node.learning import Options, TorchLearner, kind_of
from fl_node.learning.drift import NO_TERMS, Terms
from fl_node.learning.optimisers import FixedState
from fl_node.learning.run import Runner
from fl_node.learning.steps import Batch, Pictures, Step, Training

META = torch.device("meta")

VIEWS = {
    "_unsafe_view", "alias", "detach", "empty", "empty_like", "empty_strided", "expand", "new_empty_strided", "select",
    "slice", "split", "squeeze", "t", "transpose", "unbind", "unsqueeze", "view",
}  # fmt: skip
"""Operations that launch nothing: they look at memory in another way, or allocate it."""


class Recorder(TorchDispatchMode):
    """Lists the operations on tensors."""

    def __init__(self) -> None:
        """Begin with an empty list."""
        super().__init__()
        self.operations: list[str] = []

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Add an operation to the list, and carry it out."""
        if operation.namespace == "aten":
            self.operations.append(operation.overloadpacket.__name__)
        if "_fused_" in operation.name() and args[0][0].is_meta:
            return None  # It has no form for meta tensors, and would change nothing.
        return operation(*args, **(kwargs or {}))


class EnoughSteps(Exception):
    """Raised to end a training before the end at which it would wait for the device."""


def observed(learner: TorchLearner, before: Callable[[], None], steps: int) -> TorchLearner:
    """A learner that calls a function before each step, and raises `EnoughSteps` before the one after the last."""

    class Observed(type(learner)):
        def step(self, training: Training, options: Any, terms: Terms) -> Step:
            take, left = learner.step(training, options, terms), iter(range(steps))

            def take_observed(batch: Batch) -> Mapping[str, Tensor]:
                before()
                if next(left, None) is None:
                    raise EnoughSteps
                return take(batch)

            return take_observed

    return Observed()


def meta_training(options: Options) -> Training:
    """A model and its optimisers on the meta device, in the form that they have on a GPU."""
    learner = kind_of(options).learner
    with META:
        model = learner.place(learner.build(options), META)
    training = Training(model, learner.optimisers(model, options))
    FixedState(training).reset()
    for optimiser in training.optimisers.values():
        if isinstance(optimiser, SGD):
            # It refuses to be fused on meta tensors, which the recorder makes possible.
            optimiser._need_device_dtype_check_for_fused = False
    return training


def meta_examples(options: Options, count: int = 256) -> Pictures:
    """Pictures with classes on the meta device."""
    shape = (count, options.channels, options.size, options.size)
    pixels_NCHW = torch.empty(shape, dtype=torch.uint8, device=META)
    return Pictures(pixels_NCHW, torch.empty(count, dtype=torch.int64, device=META))


@contextmanager
def free_choice() -> Iterator[None]:
    """Inside, PyTorch composes operations as in a training on a GPU, where nothing has to be deterministic."""
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("default")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)


def operations_of_steps(
    options: Options, steps: int, training: Training | None = None, terms: Terms = NO_TERMS
) -> list[list[str]]:
    """The operations of each step on the meta device, from one step's start to the next one's."""
    starts: list[int] = []
    with free_choice(), Recorder() as recorder:
        plain = kind_of(options).learner
        learner = observed(plain, lambda: starts.append(len(recorder.operations)), steps)
        runner = Runner(learner, training or meta_training(options), META)
        with suppress(EnoughSteps):
            runner.run(options, meta_examples(options), steps + 1, seed=0, terms=terms)
    return [recorder.operations[start:end] for start, end in pairwise(starts)]


def kernels_per_step(options: Options) -> int:
    """Number of kernels that a step launches; see the module's description for what it leaves out."""
    second = operations_of_steps(options, 2)[1]
    return sum(operation not in VIEWS for operation in second)
