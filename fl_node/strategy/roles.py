"""What the tensors of a model are: weights, statistics, or averages.

Training moves *weights* by gradients. Batch norm measures *statistics*, such as a variance. *Averages* are moving
averages of other tensors, such as the generator with which a GAN draws. A rule that suits one of them can harm the
others: a momentum drives a variance below zero, and an optimiser turns an average into something that is none.

Tensors that are not floating point have no role: they are constants, which nothing moves.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import Field

from fl_node.arrays import Tensor, floating
from fl_node.fields import Section

Role = Literal["weight", "statistic", "average"]
Unit = Literal["steps", "rounds"]
"""What the half-life of an average counts: optimiser steps, or rounds of the federation."""


class Average(Section):
    """A part of the model that is the exponential moving average of another part."""

    name: str
    """The average, such as `generator_ema`: its tensors are `generator_ema.*`."""
    of: str
    """The part that is averaged, such as `generator`: it has a tensor of the same name for each of the average's."""
    half_life: Annotated[int, Field(ge=1, le=1_000_000)]
    """After so many steps or rounds, what the average was counts half."""
    unit: Unit = "steps"


class Roles(Section):
    """The tensors that are not weights. Follows from the learner, so that no rule has to know what it learns."""

    statistics: tuple[str, ...] = ()
    """Patterns over tensor names."""
    at_least_zero: tuple[str, ...] = ()
    """Patterns over the names of those statistics that are never negative, such as variances."""
    averages: tuple[Average, ...] = ()

    def role(self, tensor: str) -> Role:
        """A tensor's role. The average of a statistic is an average."""
        if self.average_of(tensor):
            return "average"
        return "statistic" if _matches(tensor, self.statistics) else "weight"

    def only(self, role: Role, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Those tensors of a model that have a role; arrays or specs, by name. Constants have none."""
        return {name: one for name, one in floating(tensors).items() if self.role(name) == role}

    def objection(self, shared: Mapping[str, Tensor]) -> str | None:
        """Why these tensors of the model, arrays or specs, cannot be shared alone; None if they can."""
        moved = floating(shared)
        for tensor in sorted(shared):
            found = self.average_of(tensor)
            if found and found[1] not in shared:
                return f"{tensor!r} is the average of {found[1]!r}, which is not shared: share both, or neither"
            if found and (tensor in moved) != (found[1] in moved):
                return f"{tensor!r} is the average of {found[1]!r}, but one of them holds integers, which nothing moves"
        if not self.only("weight", shared):
            return "no weight is shared, so members would learn nothing from each other"
        return None

    def average_of(self, tensor: str) -> tuple[Average, str] | None:
        """If the tensor is an average: which one, and the name of the tensor that is averaged."""
        for average in self.averages:
            if tensor.startswith(f"{average.name}."):
                return average, average.of + tensor.removeprefix(average.name)
        return None

    def is_at_least_zero(self, tensor: str) -> bool:
        """Whether a tensor is a statistic that is never negative."""
        return self.role(tensor) == "statistic" and _matches(tensor, self.at_least_zero)


def _matches(tensor: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(tensor, pattern) for pattern in patterns)
