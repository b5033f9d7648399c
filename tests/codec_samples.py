"""What the tests of the codecs share: chains that compose, shapes, and updates."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fl_node.arrays import Array
from fl_node.fields import Choice
from fl_node.strategy.encode.esgd import Esgd
from fl_node.strategy.encode.low_rank import LowRank
from fl_node.strategy.encode.quantise import Quantise
from fl_node.strategy.encode.rotate import Rotate
from fl_node.strategy.encode.subsample import Subsample
from fl_node.strategy.encode.top_k import TopK

Stages = Sequence[Choice]

STAGE_ALONE = {
    "low_rank": LowRank(rank=2),
    "subsample": Subsample(one_in=3),
    "subsample_unscaled": Subsample(one_in=5, scaled=False),
    "top_k": TopK(fraction=Decimal("0.1")),
    "esgd": Esgd(fraction=Decimal("0.3")),
    "rotate": Rotate(block=64),
    "quantise_1": Quantise(bits=1, bucket=16),
    "quantise_2_norm": Quantise(bits=2, spread="norm"),
    "quantise_4": Quantise(bits=4, bucket=64),
    "quantise_8_norm": Quantise(bits=8, spread="norm", bucket=32),
    "quantise_8": Quantise(),
}

seeds = st.integers(0, 2**63 - 1)
fractions = st.decimals("0.001", 1, places=3)
shapes = hnp.array_shapes(min_dims=0, max_dims=4, max_side=6) | st.integers(1, 700).map(
    lambda n: (n,)
)
projections = st.builds(LowRank, rank=st.integers(1, 4))
selections = (
    st.builds(Subsample, one_in=st.integers(2, 9), scaled=st.booleans())
    | st.builds(TopK, fraction=fractions)
    | st.builds(Esgd, fraction=fractions)
)
rotations = st.builds(Rotate, block=st.sampled_from([2, 16, 256, 1024]))
quantisers = st.builds(
    Quantise,
    bits=st.sampled_from([2, 4, 8]),
    spread=st.sampled_from(["range", "norm"]),
    bucket=st.sampled_from([8, 64, 256]),
) | st.builds(Quantise, bits=st.just(1))


@st.composite
def chains(draw: st.DrawFn) -> list[Choice]:
    """Up to one stage for each place, in order."""
    places = (projections, selections, rotations, quantisers)
    stages = [draw(st.none() | place) for place in places]
    if isinstance(stages[0], LowRank) and isinstance(stages[1], Esgd):
        stages[0] = None
    return [stage for stage in stages if stage is not None]


def tensors(shape: st.SearchStrategy[tuple[int, ...]] = shapes) -> st.SearchStrategy[Array]:
    """float32 as it is in updates: finite, of moderate size, with zeros and equals among it."""
    numbers = st.floats(-1000, 1000, width=32).map(lambda x: x if abs(x) > 1e-20 else 0.0)
    return hnp.arrays(np.float32, shape, elements=numbers, fill=st.just(0.5) | st.just(0.0))


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def squared(array: Array) -> float:
    return float(np.square(array, dtype=np.float64).sum())
