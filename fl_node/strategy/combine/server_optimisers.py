"""Server optimisers: momentum, Adagrad, Adam and Yogi, which treat a round's mean update as a gradient.

An optimiser's state is part of the global state: float32 arrays named `server.momentum.NAME` and
`server.second_moment.NAME`, stored, hashed and audited with the model.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from decimal import Decimal
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from fl_node.arithmetic import pieces, plus_mean, settle
from fl_node.arrays import Array, Arrays, Float64
from fl_node.blobs.encoding import Update
from fl_node.blobs.global_state import SERVER, model_of
from fl_node.fields import Choice, Number
from fl_node.strategy.combine.sums import weighted_sums

MOMENTUM = ("momentum",)
MOMENTS = ("momentum", "second_moment")

Rate = Annotated[Number, Field(gt=0, le=1000)]
Beta = Annotated[Number, Field(ge=0, lt=1)]
Tau = Annotated[Number, Field(gt=0, le=1)]

Step = Callable[..., tuple[Float64, ...]]
"""(mean difference, state...) -> (how far to move, next state...), element by element in float64."""


class FedAvgM(Choice):
    """Momentum: m = beta m + D, w += rate m, where D is the weighted mean of the updates.

    Under a constant D, each round eventually moves the model by rate / (1 - beta) times D.
    """

    kind: Literal["momentum"] = "momentum"
    rate: Rate = Decimal(1)
    beta: Beta = Decimal("0.9")


class FedAdagrad(Choice):
    """v += D^2, then the step of `FedAdam`. Its steps shrink from round to round."""

    kind: Literal["adagrad"] = "adagrad"
    rate: Rate = Decimal("0.01")
    beta1: Beta = Decimal(0)
    tau: Tau = Decimal("0.001")


class FedAdam(Choice):
    """m = beta1 m + (1 - beta1) D; v = beta2 v + (1 - beta2) D^2; w += rate m / (sqrt(v) + tau).

    The rate must be tuned for each task: it is about how far a weight moves in a round. Differences much smaller than
    tau move a weight in proportion to their size; much larger ones all move it by about the rate.
    """

    kind: Literal["adam"] = "adam"
    rate: Rate = Decimal("0.01")
    beta1: Beta = Decimal("0.9")
    beta2: Beta = Decimal("0.99")
    tau: Tau = Decimal("0.001")


class FedYogi(Choice):
    """v -= (1 - beta2) D^2 sign(v - D^2), then the step of `FedAdam`: v forgets large differences more slowly."""

    kind: Literal["yogi"] = "yogi"
    rate: Rate = Decimal("0.01")
    beta1: Beta = Decimal("0.9")
    beta2: Beta = Decimal("0.99")
    tau: Tau = Decimal("0.001")


def fedavgm(
    knobs: FedAvgM,
    parent: Arrays,
    updates: Iterable[Update],
    statistics: Collection[str] = (),
) -> dict[str, Array]:
    """Move the parent by the momentum (`Rule.combine`). With beta 0 and rate 1 it is the weighted mean.

    Source: Hsu et al. 2019 (arXiv:1909.06335).
    """
    beta, rate = float(knobs.beta), float(knobs.rate)

    def step(difference: Float64, momentum: Float64) -> tuple[Float64, ...]:
        momentum = beta * momentum + difference
        return rate * momentum, momentum

    return _optimised(parent, updates, statistics, MOMENTUM, step)


def fedadagrad(
    knobs: FedAdagrad,
    parent: Arrays,
    updates: Iterable[Update],
    statistics: Collection[str] = (),
) -> dict[str, Array]:
    """Move the parent as `FedAdagrad` says (`Rule.combine`)."""
    return _adaptive(knobs, parent, updates, statistics, lambda v, squared: v + squared)


def fedadam(
    knobs: FedAdam,
    parent: Arrays,
    updates: Iterable[Update],
    statistics: Collection[str] = (),
) -> dict[str, Array]:
    """Move the parent as `FedAdam` says (`Rule.combine`)."""
    keep, add = float(knobs.beta2), float(1 - knobs.beta2)
    return _adaptive(
        knobs, parent, updates, statistics, lambda v, squared: keep * v + add * squared
    )


def fedyogi(
    knobs: FedYogi,
    parent: Arrays,
    updates: Iterable[Update],
    statistics: Collection[str] = (),
) -> dict[str, Array]:
    """Move the parent as `FedYogi` says (`Rule.combine`)."""
    add = float(1 - knobs.beta2)
    return _adaptive(
        knobs,
        parent,
        updates,
        statistics,
        lambda v, squared: v - add * squared * np.sign(v - squared),
    )


def _adaptive(
    knobs: FedAdagrad | FedAdam | FedYogi,
    parent: Arrays,
    updates: Iterable[Update],
    statistics: Collection[str],
    next_second: Callable[[Float64, Float64], Float64],
) -> dict[str, Array]:
    """The step that Adagrad, Adam and Yogi share.

    D is weighted by examples, where the paper's Algorithm 2 has the plain mean over the cohort. There is no bias
    correction, as in the paper. The paper starts v at tau^2 or more. Here it starts at 0, like all the server's state,
    so only the tau in the denominator bounds the first steps.

    Source: Reddi et al. 2020, Algorithm 2 (arXiv:2003.00295).
    """
    keep, add = float(knobs.beta1), float(1 - knobs.beta1)
    rate, tau = float(knobs.rate), float(knobs.tau)

    def step(difference: Float64, momentum: Float64, second: Float64) -> tuple[Float64, ...]:
        momentum = keep * momentum + add * difference
        second = next_second(second, difference * difference)
        return rate * momentum / (np.sqrt(second) + tau), momentum, second

    return _optimised(parent, updates, statistics, MOMENTS, step)


def _optimised(
    parent: Arrays,
    updates: Iterable[Update],
    statistics: Collection[str],
    slots: Sequence[str],
    step: Step,
) -> dict[str, Array]:
    """Move every weight by a step, and update the optimiser's state.

    A statistic has no gradient and no state: it moves by the mean.
    Holds one update, a float64 copy of the model, and the state in memory.
    """
    sums, examples = weighted_sums(model_of(parent), updates)
    result = dict(parent)
    for name in list(sums):
        total = sums.pop(name)
        if name in statistics:
            result[name] = plus_mean(parent[name], total, float(examples))
        else:
            names = [name, *(f"{SERVER}{slot}.{name}" for slot in slots)]
            before = [parent[tensor] for tensor in names]
            result.update(zip(names, _stepped(before, total, examples, step), strict=True))
    return result


def _stepped(before: Sequence[Array], total: Float64, examples: int, step: Step) -> list[Array]:
    """One tensor and its state after a step. The step uses the new state before it is rounded to float32."""
    after = [np.empty(array.shape, array.dtype) for array in before]
    for difference, *views in pieces(total, *before, *after):
        np.divide(difference, float(examples), out=difference)
        start, *state = (view.astype(np.float64) for view in views[: len(before)])
        move, *state = step(difference, *state)
        for values, out in zip([start + move, *state], views[len(before) :], strict=True):
            settle(values, out)
    return after
