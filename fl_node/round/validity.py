"""Which updates count: the rules of docs/protocol.md, "An update is valid if", as pure functions.

Every machine must reach the same verdict, because it decides which updates a round includes. Therefore even the norm is
summed in a fixed order.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np

from chain.text import shown
from fl_node.arrays import Arrays
from fl_node.blobs.encoding import EncodedUpdate, Update, UpdateHeader
from fl_node.errors import UpdateInvalid
from fl_node.manifest.manifest import Limits
from fl_node.round.form import Form
from fl_node.strategy.strategy import Encode

NORM_LANES = 8_192
"""Number of running sums of squares. Part of the protocol: another number would round differently."""


def verify_update(
    update: EncodedUpdate, expected: UpdateHeader, encode: Encode, form: Form, limits: Limits
) -> Update:
    """Check an update against every rule that needs no other update, and decode it.

    Args:
        update: An untrusted update.
        expected: What the chain recorded, and the codecs and seed from the manifest; its `steps` is the most that an
            update may claim, and of its `metrics` and `versions` only the names count.
        encode: The manifest's codecs.
        form: The tensors of the decoded update.
        limits: The manifest's limits.

    Raises:
        UpdateInvalid: The first rule that is broken: "task", "round", "client", "parent_digest", "num_examples",
            "codec", "seed", "metrics", "versions", "steps_limit", "examples_limit", "tensors", "finite" or
            "norm_limit".
        BlobMalformed: A payload is not valid output of its codec.
    """
    _verify_header(update.header, expected)
    if not 0 < update.header.steps <= expected.steps:
        raise UpdateInvalid("steps_limit", f"1 to {expected.steps}", update.header.steps)
    if not 0 < expected.num_examples <= limits.examples:
        raise UpdateInvalid("examples_limit", f"1 to {limits.examples}", expected.num_examples)
    arrays = form.decode(encode.stages, update.arrays, expected.seed)
    _verify_published({name: arrays[name] for name in form.published})
    _verify_norm({name: arrays[name] for name in arrays if name not in form.published}, limits)
    return Update(update.header, arrays)


def _verify_published(arrays: Arrays) -> None:
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise UpdateInvalid("finite", "finite elements", f"another one in {name!r}")


def _verify_norm(arrays: Arrays, limits: Limits) -> None:
    if _surely_within(arrays, float(limits.update_norm)):
        return
    size = norm(arrays)
    if not math.isfinite(size):
        raise UpdateInvalid("finite", "a finite norm", size)
    if size > limits.update_norm:
        raise UpdateInvalid("norm_limit", f"at most {limits.update_norm}", size)


def norm(arrays: Arrays) -> float:
    """The Euclidean norm over all arrays together; not finite if any element is not finite.

    There are `NORM_LANES` running sums in float64. The arrays are taken in order of name; the square of element i of
    each, in C order, is added to sum i modulo `NORM_LANES`. The sums are then added exactly and rounded once
    (math.fsum).
    """
    sums, scratch = np.zeros(NORM_LANES), np.empty(NORM_LANES)
    with np.errstate(over="ignore", invalid="ignore"):
        for name in sorted(arrays):
            values = arrays[name].reshape(-1)
            for start in range(0, values.size, NORM_LANES):
                part = values[start : start + NORM_LANES]
                squares = scratch[: part.size]
                squares[...] = part
                np.multiply(squares, squares, out=squares)
                np.add(sums[: part.size], squares, out=sums[: part.size])
    return math.sqrt(math.fsum(sums)) if np.isfinite(sums).all() else math.inf


def _surely_within(arrays: Arrays, limit: float) -> bool:
    """Whether a quick estimate proves that every element is finite and the norm is within the limit.

    The estimate is a sum of float32 dot products of `NORM_LANES` elements each. BLAS may add in any order, so a sum of
    n non-negative numbers has an error of at most n roundings of 2**-24, plus 2**-126 for each number that
    underflows. If the estimate is close to the limit or not finite, `norm` decides.
    """
    total, elements = 0.0, 0
    with np.errstate(all="ignore"):
        for array in arrays.values():
            values = array.reshape(-1)
            elements += values.size
            for start in range(0, values.size, NORM_LANES):
                part = values[start : start + NORM_LANES]
                total += float(np.dot(part, part))
    return total * (1 + 4 * NORM_LANES * 2.0**-24) + elements * 2.0**-126 <= limit * limit


def _verify_header(actual: UpdateHeader, expected: UpdateHeader) -> None:
    for field in ("task", "round", "client", "parent_digest", "num_examples", "codec", "seed"):
        if getattr(actual, field) != getattr(expected, field):
            raise UpdateInvalid(field, getattr(expected, field), getattr(actual, field))
    for field in ("metrics", "versions"):
        names, stated = set(getattr(expected, field)), set(getattr(actual, field))
        if stated != names:
            raise UpdateInvalid(field, _listed(names), _listed(stated))


def _listed(names: Collection[str]) -> str:
    return shown(", ".join(sorted(names)) or "none")
