"""The one shape in which weights travel between rooms: named numpy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Arrays = Mapping[str, Array]
"""Tensor name, as in the model's `state_dict`, to array. C order."""

Float64 = NDArray[np.float64]
