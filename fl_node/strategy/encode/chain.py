"""Chains of stages over whole updates: what a difference looks like on its way, and back.

A tensor's last values travel under its own name; what a stage sends beside them under "NAME/kind.part". Every stage
has a seed of its own for each tensor. What anyone sends is compared with the schema first, so that nothing is allocated
for it that the model does not account for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from fl_node.arrays import Array, Arrays
from fl_node.blobs.tensors import Schema, Spec, schema_of
from fl_node.errors import Misuse, UpdateInvalid
from fl_node.fields import Choice
from fl_node.seeds import derive_seed
from fl_node.strategy.encode.esgd import ESGD, Esgd
from fl_node.strategy.encode.low_rank import LOW_RANK, LowRank
from fl_node.strategy.encode.quantise import QUANTISE, Quantise
from fl_node.strategy.encode.rotate import ROTATE, Rotate
from fl_node.strategy.encode.stage import Stage
from fl_node.strategy.encode.subsample import SUBSAMPLE, Subsample
from fl_node.strategy.encode.top_k import TOP_K, TopK

STAGES: Mapping[type[Choice], Stage] = {
    LowRank: LOW_RANK,
    Subsample: SUBSAMPLE,
    TopK: TOP_K,
    Esgd: ESGD,
    Rotate: ROTATE,
    Quantise: QUANTISE,
}
"""The choices for a manifest's `strategy.encode.stages`."""


def encode_arrays(
    stages: Sequence[Choice], arrays: Arrays, seed: int, credit: Arrays | None = None
) -> dict[str, Array]:
    """Make an update's arrays smaller. Without stages they travel as they are.

    Args:
        stages: A chain without `chain_objection`.
        arrays: The difference: float32, finite, of at least one element each.
        seed: 0 to 2**63 - 1, the update's own; the reader needs it too.
        credit: For `Esgd`: how much each element of a tensor has earned, under its name and of its shape. Of a tensor
            without it the largest elements are taken.

    Returns:
        The arrays that travel; their schema is `encoded_schema`.

    Raises:
        Misuse: The credit of a tensor has another shape.
    """
    sent: dict[str, Array] = {}
    with np.errstate(all="ignore"):  # what overflows is no longer finite, and that is looked for
        for name, values in arrays.items():
            earned = None if credit is None else credit.get(name)
            for stage in stages:
                values, side = _encode_stage(stage, name, values, seed, earned)
                sent |= {_beside(name, stage, part): array for part, array in side.items()}
            sent[name] = values
    return sent


def decode_arrays(
    stages: Sequence[Choice], arrays: Arrays, schema: Schema, seed: int
) -> dict[str, Array]:
    """Read an update's arrays back: the same bytes on every machine.

    Args:
        stages: The chain they were encoded with.
        arrays: From anyone.
        schema: Of the difference: every tensor in float32.
        seed: The one they were encoded with; another gives another update, of the same schema.

    Returns:
        Arrays of this schema. Whether they are finite is for `fl_node.round.validity` to say.

    Raises:
        UpdateInvalid: Rule "tensors": other names, shapes or dtypes than `encoded_schema` has.
        BlobMalformed: Contents that no encoder writes.
    """
    _verify_schema(schema_of(arrays), encoded_schema(stages, schema))
    with np.errstate(all="ignore"):
        return {
            name: _decode_one(stages, name, arrays, spec.shape, seed)
            for name, spec in schema.items()
        }


def encoded_schema(stages: Sequence[Choice], schema: Schema) -> dict[str, Spec]:
    """Names, shapes and dtypes of what travels: known before any of it is read.

    Raises:
        Misuse: A tensor of the model has the name under which another's side part would travel.
    """
    encoded: dict[str, Spec] = {}
    for name, spec in schema.items():
        parts = _encoded_one(stages, name, spec)
        for taken in encoded.keys() & parts.keys():
            raise Misuse(
                f"two arrays of an update would have the name {taken!r}: rename the tensor"
            )
        encoded |= parts
    return encoded


def chain_objection(stages: Sequence[Choice]) -> str | None:
    """Why the stages make no sense one after the other, in one line; None where they do."""
    for before, after in pairwise(stages):
        if STAGES[type(before)].order >= STAGES[type(after)].order:
            return (
                f"{after.kind} cannot follow {before.kind}: the order is low_rank, then one of subsample, top_k and "
                "esgd, then rotate, then quantise, each at most once"
            )
    if {LowRank, Esgd} <= {type(stage) for stage in stages}:
        return "esgd cannot follow low_rank, after which no element is left that could have earned credit: use top_k"
    return None


def _encode_stage(
    stage: Choice, name: str, values: Array, seed: int, credit: Array | None
) -> tuple[Array, dict[str, Array]]:
    functions = STAGES[type(stage)]
    if functions.encode_credited and credit is not None:
        return functions.encode_credited(stage, values, credit)
    return functions.encode(stage, values, derive_seed(seed, stage.kind, name))


def _encoded_one(stages: Sequence[Choice], name: str, spec: Spec) -> dict[str, Spec]:
    parts: dict[str, Spec] = {}
    for stage in stages:
        spec, side = _lay_out(stage, spec.shape)
        parts |= {_beside(name, stage, part): beside for part, beside in side.items()}
    return parts | {name: spec}


def _decode_one(
    stages: Sequence[Choice], name: str, arrays: Arrays, shape: tuple[int, ...], seed: int
) -> Array:
    shapes = [shape]
    for stage in stages:
        shapes.append(_lay_out(stage, shapes[-1])[0].shape)
    values = arrays[name]
    for stage, before in zip(reversed(stages), shapes[-2::-1], strict=True):
        parts = _lay_out(stage, before)[1]
        side = {part: arrays[_beside(name, stage, part)] for part in parts}
        own = derive_seed(seed, stage.kind, name)
        values = STAGES[type(stage)].decode(stage, values, side, before, own)
    return values


def _lay_out(stage: Choice, shape: tuple[int, ...]) -> tuple[Spec, Mapping[str, Spec]]:
    layout = STAGES[type(stage)].layout(stage, shape)
    return layout.values, layout.side


def _beside(name: str, stage: Choice, part: str) -> str:
    return f"{name}/{stage.kind}.{part}"


def _verify_schema(actual: Schema, expected: Schema) -> None:
    for name in sorted(actual.keys() | expected.keys()):
        if actual.get(name) != expected.get(name):
            raise UpdateInvalid(
                "tensors", f"{name!r}: {expected.get(name)}", f"{name!r}: {actual.get(name)}"
            )
