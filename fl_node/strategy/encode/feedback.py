"""Error feedback: a member adds the error of the codecs to its next difference, so that small values are not lost.

Source: Aji and Heafield 2017, arXiv:1704.05021; Stich et al. 2018, arXiv:1809.07599; the discount is from eSGD, Tao and
Li 2018.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fl_node.arrays import Array, Arrays, prefixed, unprefixed
from fl_node.blobs.tensors import schema_of
from fl_node.strategy.encode import decode_arrays, encode_arrays
from fl_node.strategy.encode.esgd import Esgd
from fl_node.strategy.strategy import Encode

RESIDUAL = "residual."
CREDIT = "credit."
LAST_LOSS = "last_loss"


@dataclass(frozen=True, slots=True)
class Encoded:
    """An encoded update.

    Attributes:
        arrays: What is sent.
        sent: What was sent beside the difference, as everybody decodes it.
        kept: The arrays that the member keeps for the next difference.
    """

    arrays: Arrays
    sent: dict[str, Array]
    kept: dict[str, Array]


def encode_with_feedback(
    encode: Encode,
    difference: Arrays,
    beside: Arrays,
    kept: Arrays,
    seed: int,
    training_loss: int,
) -> Encoded:
    """Encode a difference plus the accumulated error of earlier ones, and what an algorithm sends beside it.

    What is sent beside has no feedback: its algorithm accounts for the error itself, since it learns what was decoded.

    Args:
        encode: The manifest's `strategy.encode`.
        difference: float32; not changed.
        beside: `Trained.sent`, float32, with other names than the difference; not changed.
        kept: `Encoded.kept` from the last time that this member sent an update; empty before the first.
        seed: Seed of the codecs.
        training_loss: This round's training loss, in millionths; eSGD's choice depends on whether it fell.
    """
    accumulated = _accumulated(difference, unprefixed(RESIDUAL, kept))
    credits = any(isinstance(stage, Esgd) for stage in encode.stages)
    fell = LAST_LOSS not in kept or training_loss < int(kept[LAST_LOSS][0])
    credit = unprefixed(CREDIT, kept) if credits and not fell else None
    update = {**accumulated, **beside}
    arrays = encode_arrays(encode.stages, update, seed, credit)
    if not encode.feedback and not credits and not beside:
        return Encoded(arrays, {}, {})
    decoded = decode_arrays(encode.stages, arrays, schema_of(update), seed)
    sent = {name: decoded.pop(name) for name in beside}
    keep: dict[str, Array] = {}
    if encode.feedback:
        keep |= prefixed(RESIDUAL, _residual(accumulated, decoded, float(encode.feedback)))
    if credits:
        keep |= prefixed(CREDIT, _credited(unprefixed(CREDIT, kept), decoded, fell))
        keep[LAST_LOSS] = np.array([training_loss], np.int64)
    return Encoded(arrays, sent, keep)


def _accumulated(difference: Arrays, residual: Mapping[str, Array]) -> Arrays:
    if not residual:
        return difference
    return {name: difference[name] + residual[name] for name in difference}


def _residual(accumulated: Arrays, decoded: Arrays, share: float) -> dict[str, Array]:
    return {
        name: np.asarray((accumulated[name] - decoded[name]) * np.float32(share), np.float32)
        for name in accumulated
    }


def _credited(credit: Mapping[str, Array], decoded: Arrays, fell: bool) -> dict[str, Array]:
    """eSGD's hidden weights: if the loss fell, each coordinate that was sent earns 1."""
    none = {name: np.zeros(array.shape, np.float32) for name, array in decoded.items()}
    before = credit or none
    if not fell:
        return dict(before)
    return {name: np.asarray(before[name] + (decoded[name] != 0), np.float32) for name in decoded}
