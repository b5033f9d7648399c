"""A model with its optimisers, built once and filled anew for each training, so that its memory stays where it is.

A thread has one workplace and keeps it as long as the options stay the same: the members of a simulation take turns in
it, and share what was recorded of its steps. Nothing of a training is left in it that the next one could notice.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import nn

from fl_node.arrays import Arrays, unprefixed
from fl_node.errors import Misuse
from fl_node.learning.drift import GradientTerms
from fl_node.learning.kind import Kind
from fl_node.learning.kinds import kind_of
from fl_node.learning.optimisers import fill_optimisers, reset_optimisers
from fl_node.learning.options import Options, comparable
from fl_node.learning.run import Runner, runner_on
from fl_node.learning.steps import Training, move_to
from fl_node.learning.tensors import fill_module


class Workplace:
    """What the trainings of one kind of model on one device have in common."""

    def __init__(self, options: Options, device: torch.device) -> None:
        """Build the model and its optimisers."""
        self._kind: Kind = kind_of(options)
        self._options, self._device = options, device
        self.training: Training = self._kind.prepare_training(
            self._kind.build(options), options, device
        )
        self.runner: Runner = runner_on(device, self._kind, self.training)
        self.gradient_terms = GradientTerms(self.training)
        self._opponents: list[nn.Module] = []

    def model(self, weights: Arrays) -> nn.ModuleDict:
        """The model, filled with all of its weights.

        Raises:
            Misuse: The weights do not belong to this model.
        """
        model = self.training.model.train()
        fill_module(model, weights)
        return model

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
        self._kind.tune(self.training, options)
        if private is None:
            reset_optimisers(self.training)
        else:
            fill_optimisers(self.training, private)
        return self.training

    @cached_property
    def second_model(self) -> nn.ModuleDict:
        """Another model of the same form, whose weights are not trained."""
        return move_to(self._kind.build(self._options), self._device).requires_grad_(False)

    def opponents(self, networks: Sequence[Arrays]) -> tuple[nn.Module, ...]:
        """Other members' published networks, whose weights are not trained; in evaluation mode, so that nothing moves.

        Args:
            networks: Each one's tensors, under their names in the model.

        Raises:
            Misuse: The tensors do not belong to the part of the model that this kind trains against.
        """
        part = self._kind.opponent
        if networks and part is None:
            raise Misuse("this kind of model trains against no other member's network")
        while len(self._opponents) < len(networks):
            whole = move_to(self._kind.build(self._options), self._device)
            self._opponents.append(whole[str(part)].requires_grad_(False).eval())
        chosen = self._opponents[: len(networks)]
        for module, arrays in zip(chosen, networks, strict=True):
            fill_module(module, unprefixed(f"{part}.", arrays))
        return tuple(chosen)


_HERE = threading.local()


def workplace(options: Options, device: torch.device) -> Workplace:
    """This thread's workplace; a new one if its last one was for another model or device."""
    key = (device, *comparable(options))
    if getattr(_HERE, "key", None) != key:
        _HERE.key, _HERE.workplace = key, Workplace(options, device)
    return _HERE.workplace
