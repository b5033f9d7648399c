"""Group norm, which every network offers."""

from __future__ import annotations

import math
from typing import Literal

from torch import nn

Norm = Literal["batch", "group", "none"]

MAX_GROUPS = 8


def group_norm(width: int) -> nn.GroupNorm:
    """Normalise each picture separately, in up to 8 groups of channels (Wu and He 2018, arXiv:1803.08494).

    Batch norm does not suit members with non-IID data, whose statistics differ (Hsieh et al. 2019, arXiv:1910.00189).
    """
    return nn.GroupNorm(math.gcd(width, MAX_GROUPS), width)
