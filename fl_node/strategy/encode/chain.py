"""Chains of stages over whole updates: encoding and decoding.

A tensor's final values keep its name; a stage's additional arrays are named "NAME/kind.part". Each stage has its own
seed for each tensor. Received arrays are first compared with the schema, so that decoding never allocates more than the
model requires.
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
"""The choices for `strategy.encode.stages` in a manifest."""


def encode_arrays(
    stages: Sequence[Choice], arrays: Arrays, seed: int, credit: Arrays | None = None
) -> dict[str, Array]:
    """Make an update's arrays smaller. Without stages they stay as they are.

    Args:
        stages: A chain to which `chain_objection` has no objection.
        arrays: The difference: float32, finite, each with at least one element.
        seed: The update's seed, 0 to 2**63 - 1; decoding needs the same.
        credit: For `Esgd`: each element's credit, by tensor name and with the tensor's shape. For a tensor without
            credit, the largest elements are sent.

    Returns:
        The encoded arrays; their schema is `encoded_schema`.

    Raises:
        Misuse: The shape of a tensor's credit does not match the tensor's.
    """
    sent: dict[str, Array] = {}
    with np.errstate(
        all="ignore"
    ):  # an overflow gives a value that is not finite, which is checked for later
        for name, values in arrays.items():
            tensor_credit = None if credit is None else credit.get(name)
            for stage in stages:
                values, side = _encode_stage(stage, name, values, seed, tensor_credit)
                sent |= {_side_name(name, stage, part): array for part, array in side.items()}
            sent[name] = values
    return sent


def decode_arrays(
    stages: Sequence[Choice], arrays: Arrays, schema: Schema, seed: int
) -> dict[str, Array]:
    """Decode an update's arrays, to the same bytes on every machine.

    Args:
        stages: The chain that encoded them.
        arrays: Untrusted arrays.
        schema: The schema of the difference: every tensor in float32.
        seed: The seed that they were encoded with. Another seed gives another update of the same schema.

    Returns:
        Arrays of this schema. They may not be finite: `fl_node.round.validity` checks that.

    Raises:
        UpdateInvalid: Rule "tensors": names, shapes or dtypes differ from `encoded_schema`.
        BlobMalformed: No encoder writes these contents.
    """
    _verify_schema(schema_of(arrays), encoded_schema(stages, schema))
    with np.errstate(all="ignore"):
        return {
            name: _decode_tensor(stages, name, arrays, spec.shape, seed)
            for name, spec in schema.items()
        }


def encoded_schema(stages: Sequence[Choice], schema: Schema) -> dict[str, Spec]:
    """Names, shapes and dtypes of the encoded arrays, which are known before any of them is read.

    Raises:
        Misuse: A tensor's name is that of another tensor's side part.
    """
    encoded: dict[str, Spec] = {}
    for name, spec in schema.items():
        parts = _encoded_tensor(stages, name, spec)
        for taken in encoded.keys() & parts.keys():
            raise Misuse(
                f"two arrays of an update would have the name {taken!r}: rename the tensor"
            )
        encoded |= parts
    return encoded


def chain_objection(stages: Sequence[Choice]) -> str | None:
    """Why the stages cannot follow one another in this order, in one line; None if they can."""
    for before, after in pairwise(stages):
        if STAGES[type(before)].order >= STAGES[type(after)].order:
            return (
                f"{after.kind} cannot follow {before.kind}: the order is low_rank, then one of subsample, top_k and "
                "esgd, then rotate, then quantise, each at most once"
            )
    if {LowRank, Esgd} <= {type(stage) for stage in stages}:
        return "esgd cannot follow low_rank, which mixes the elements that earn credit: use top_k"
    return None


def chain_variance(stages: Sequence[Choice]) -> float:
    """Omega of a whole chain: the most that the expected squared error of its random stages can be.

    It is a multiple of the squared norm of what is encoded, or of the part that a stage such as top_k has chosen from
    it. 0 for a chain without chance. Stages multiply the squared norm one after the other.
    """
    growth, rotated = 1.0, False
    for stage in stages:
        growth *= 1 + STAGES[type(stage)].variance(stage, rotated)
        rotated = rotated or isinstance(stage, Rotate)
    return growth - 1


def _encode_stage(
    stage: Choice, name: str, values: Array, seed: int, credit: Array | None
) -> tuple[Array, dict[str, Array]]:
    functions = STAGES[type(stage)]
    if functions.encode_credited and credit is not None:
        return functions.encode_credited(stage, values, credit)
    return functions.encode(stage, values, derive_seed(seed, stage.kind, name))


def _encoded_tensor(stages: Sequence[Choice], name: str, spec: Spec) -> dict[str, Spec]:
    parts: dict[str, Spec] = {}
    for stage in stages:
        spec, side = _lay_out(stage, spec.shape)
        parts |= {_side_name(name, stage, part): side_spec for part, side_spec in side.items()}
    return parts | {name: spec}


def _decode_tensor(
    stages: Sequence[Choice], name: str, arrays: Arrays, shape: tuple[int, ...], seed: int
) -> Array:
    shapes = [shape]
    for stage in stages:
        shapes.append(_lay_out(stage, shapes[-1])[0].shape)
    values = arrays[name]
    for stage, before in zip(reversed(stages), shapes[-2::-1], strict=True):
        parts = _lay_out(stage, before)[1]
        side = {part: arrays[_side_name(name, stage, part)] for part in parts}
        stage_seed = derive_seed(seed, stage.kind, name)
        values = STAGES[type(stage)].decode(stage, values, side, before, stage_seed)
    return values


def _lay_out(stage: Choice, shape: tuple[int, ...]) -> tuple[Spec, Mapping[str, Spec]]:
    layout = STAGES[type(stage)].layout(stage, shape)
    return layout.values, layout.side


def _side_name(name: str, stage: Choice, part: str) -> str:
    return f"{name}/{stage.kind}.{part}"


def _verify_schema(actual: Schema, expected: Schema) -> None:
    for name in sorted(actual.keys() | expected.keys()):
        if actual.get(name) != expected.get(name):
            raise UpdateInvalid(
                "tensors", f"{name!r}: {expected.get(name)}", f"{name!r}: {actual.get(name)}"
            )
