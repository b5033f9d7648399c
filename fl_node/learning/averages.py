"""The moving average of a network, kept beside the network that is trained."""

from __future__ import annotations

from collections.abc import Callable, Collection

from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from fl_node.learning.tensors import module_tensors


def ema_decay(half_life: int) -> float:
    """The average's decay per step, with which a weight counts half after `half_life` steps."""
    return 0.5 ** (1 / half_life)


def drawing_part(parts: Collection[str], part: str) -> str | None:
    """The part of a model that makes its pictures: the average of a network, else the network; None without both."""
    return next((name for name in (f"{part}_ema", part) if name in parts), None)


def averaging(model: nn.ModuleDict, part: str, half_life: int) -> Callable[[], None]:
    """The function that moves a part's average, such as `generator_ema` of `generator`, by one step.

    Args:
        model: Has the part, and `PART_ema` of the same form if an average is kept.
        part: The network that is averaged.
        half_life: In steps; 0 keeps no average, and the function does nothing.
    """
    if not half_life:
        return lambda: None
    averages = list(module_tensors(model[f"{part}_ema"]).values())
    currents = list(module_tensors(model[part]).values())
    lerp = get_ema_multi_avg_fn(ema_decay(half_life))
    return lambda: lerp(averages, currents, None)
