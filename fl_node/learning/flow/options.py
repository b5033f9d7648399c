"""The knobs of flow matching."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from fl_node.arrays import Arrays
from fl_node.learning.options import AsKnobs, Schedules, options_from

if TYPE_CHECKING:
    # For the types only: the manifest needs pydantic and the chain's types, training needs neither.
    from fl_node.manifest.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowOptions(AsKnobs):
    """A flow and how a member trains it. For ranges and meanings see `fl_node.manifest.learners`."""

    kind: ClassVar[str] = "flow"

    channels: int
    size: int
    held_out: float
    classes: int
    width: int
    batch: int
    rate: float
    beta1: float
    beta2: float
    ema_half_life: int
    ema_unit: Literal["steps", "rounds"]
    sampling_steps: int
    share: tuple[str, ...]
    schedules: Schedules = ()


def flow_options(manifest: Manifest, extractor_weights: Arrays | None) -> FlowOptions:
    """The options of a manifest whose learner is a flow. Its held-out loss needs no extractor."""
    share = manifest.strategy.share.average
    return options_from(FlowOptions, manifest.data, manifest.learner, share=share)
