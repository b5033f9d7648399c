"""The interface of extractors: functions from pixels to features, and optionally from features to classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fl_node.arrays import Array

BATCH = 1024
"""Number of pictures that an extractor processes at a time."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class FeatureExtractor:
    """A network that turns pictures into features, and optionally features into classes.

    Attributes:
        digest: sha256 of its weights as a blob, in hex.
        features: uint8 pixels_NCHW -> float32 features_ND.
        classify: features_ND -> class_N; None if it cannot classify.
    """

    digest: str
    features: Callable[[Pixels], Array]
    classify: Callable[[Array], Array] | None = None


@torch.no_grad()
def through(
    function: Callable[[Tensor], Tensor], pixels_NCHW: Pixels, device: torch.device
) -> Array:
    """Apply a function to pictures on a device, `BATCH` at a time; float32."""
    batches = (pixels_NCHW[at : at + BATCH] for at in range(0, len(pixels_NCHW), BATCH))
    outputs = [
        function(torch.from_numpy(np.ascontiguousarray(batch)).to(device)) for batch in batches
    ]
    return torch.cat(outputs).float().cpu().numpy()
