"""A model with its optimisers, built once and filled anew for each training, so that its memory stays where it is.

A thread has one workplace and keeps it as long as learner and options stay the same: the members of a simulation take
turns in it, and share what was recorded of its steps. Nothing of a training is left in it that the next one could
notice.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property

import torch
from torch import Tensor, nn

from fl_node.arrays import Arrays, unprefixed
from fl_node.errors import Misuse
from fl_node.learning.calling import as_dict, calling
from fl_node.learning.drift import GradientTerms
from fl_node.learning.optimiser_state import AnyState
from fl_node.learning.optimisers import FixedState
from fl_node.learning.options import Options, comparable
from fl_node.learning.randomness import seeded
from fl_node.learning.run import Runner, runner_on
from fl_node.learning.steps import Training
from fl_node.learning.tensors import fill_all
from fl_node.learning.torch_learner import TorchLearner


class Workplace:
    """What the trainings of one model on one device have in common."""

    def __init__(self, learner: TorchLearner, options: Options, device: torch.device) -> None:
        """Build the model and its optimisers.

        Raises:
            Misuse: The learner's code raises an error, or builds what is no model.
        """
        self.learner: TorchLearner = learner
        self._options, self._device = options, device
        with self.random(0, "build"):
            model = self._built()
            with calling("optimisers()", Misuse):
                given = learner.optimisers(model, options.knobs)
        optimisers = as_dict("optimisers()", given, '{"model": optimiser}', Misuse)
        self.training: Training = Training(model, optimisers)
        self._tensors = learner.tensors(model) if learner.recordable else None
        self.state = (FixedState if learner.recordable else AnyState)(self.training)
        self.runner: Runner = runner_on(device, learner, self.training)
        self.gradient_terms = GradientTerms(self.training)
        self._opponents: list[nn.Module] = []

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The model's tensors by name. A user's code may put others in their place; recorded steps never do."""
        if self._tensors is not None:
            return self._tensors
        return self.learner.tensors(self.training.model)

    def model(self, weights: Arrays) -> nn.Module:
        """The model, filled with all of its weights.

        Raises:
            Misuse: The weights do not belong to this model.
        """
        fill_all(self.tensors, weights)
        return self.training.model.train()

    def resume(self, options: Options, weights: Arrays, private: Arrays | None) -> Training:
        """The model and its optimisers, ready for a training.

        Args:
            options: Those of the training's round.
            weights: All of the model's.
            private: Has the optimisers' state; None for optimisers that have taken no step.

        Raises:
            Misuse: The arrays do not belong to this model.
        """
        self.model(weights)
        self.learner.tune(self.training.optimisers, options)
        if not self.learner.recordable:
            self.training.model.zero_grad()  # A user's step may add to what it finds.
        if private is None:
            self.state.reset()
        else:
            self.state.fill(private)
        return self.training

    def random(self, seed: int, what: str) -> AbstractContextManager[None]:
        """Inside, what the learner draws follows from the seed; the steps that are recorded draw nothing."""
        return nullcontext() if self.learner.recordable else seeded(seed, what)

    @cached_property
    def second_model(self) -> nn.Module:
        """Another model of the same form, whose weights are not trained."""
        return self._built().requires_grad_(False)

    def opponents(self, networks: Sequence[Arrays]) -> tuple[nn.Module, ...]:
        """Other members' published networks, whose weights are not trained; in evaluation mode, so that nothing moves.

        Args:
            networks: Each one's tensors, under their names in the model.

        Raises:
            Misuse: The tensors do not belong to the part of the model that this learner trains against.
        """
        part = self.learner.opponent
        if networks and part is None:
            raise Misuse("this model trains against no other member's network")
        while len(self._opponents) < len(networks):
            self._opponents.append(self._built()[str(part)].requires_grad_(False).eval())
        chosen = self._opponents[: len(networks)]
        for module, arrays in zip(chosen, networks, strict=True):
            fill_all(self.learner.tensors(module), unprefixed(f"{part}.", arrays))
        return tuple(chosen)

    def _built(self) -> nn.Module:
        with calling("build()", Misuse):
            model = self.learner.build(self._options.knobs)
            if not isinstance(model, nn.Module):
                raise Misuse(
                    f"build() gave a {type(model).__name__}; a torch.nn.Module is expected"
                )
            return self.learner.place(model, self._device)


_HERE = threading.local()


def leave() -> None:
    """Give this thread's workplace up, because a user's code may have failed in the middle of anything."""
    _HERE.key = _HERE.workplace = None


def workplace(learner: TorchLearner, options: Options, device: torch.device) -> Workplace:
    """This thread's workplace; a new one if its last one was for another model or device."""
    key = (learner, device, *comparable(options))
    if getattr(_HERE, "key", None) != key:
        leave()  # A large model is freed before the next one is built.
        _HERE.workplace = Workplace(learner, options, device)
        _HERE.key = key
    return _HERE.workplace
