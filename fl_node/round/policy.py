"""What a node lets out, whatever a manifest says: its own policy.

Example of a file, of which every line may be left out:

    allow_code = ["12ab..."]       # code that tasks may run here (`fl_node.code`), by sha256
    allow_manifests = ["34cd..."]  # tasks that this node joins, by the digest of their manifest
    most_examples = 5000           # an update that says more does not leave
    most_bytes = 100_000_000       # nor does a larger one
    clip_norm = 1.5                # a longer difference is scaled to this length
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, ValidationError

from chain.errors import FileUnusable
from chain.files import read_text
from chain.text import shown
from fl_node.arrays import Array, Arrays
from fl_node.errors import Misuse, PolicyForbids
from fl_node.fields import Number, Section
from fl_node.manifest.bounds import MAX_TOML_BYTES, parse_toml, verify_bounds
from fl_node.round.validity import norm

SAFELY = 1 - 2.0**-23
"""A clipped difference is shorter than its limit by this factor, so that rounding to float32 does not exceed it."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a node allows. Nothing that a task says widens it.

    Attributes:
        allowed_code: Digests of the code that tasks may run here.
        allowed_manifests: Digests of the manifests of the tasks that the node joins; None allows every task.
        most_examples: The most examples that an update may state; None for no limit.
        most_bytes: The most bytes of an update's blob; None for no limit.
        clip: The greatest Euclidean norm of what goes into the codecs, > 0; None for no limit.
    """

    allowed_code: frozenset[bytes] = frozenset()
    allowed_manifests: frozenset[bytes] | None = None
    most_examples: int | None = None
    most_bytes: int | None = None
    clip: Decimal | None = None

    def verify_manifest(self, digest: bytes) -> None:
        """Check that the node may join the task.

        Raises:
            Misuse: It may not.
        """
        if self.allowed_manifests is not None and digest not in self.allowed_manifests:
            raise Misuse(
                f"the node's policy does not allow the manifest {digest.hex()}: read it, then add this digest to "
                "allow_manifests"
            )

    def verify_examples(self, num_examples: int) -> None:
        """Check what an update states.

        Raises:
            PolicyForbids: It states more examples than the policy allows.
        """
        if self.most_examples is not None and num_examples > self.most_examples:
            raise PolicyForbids(
                f"the update states {num_examples} examples; the node's policy allows {self.most_examples}"
            )

    def verify_size(self, blob_bytes: int) -> None:
        """Check how much would leave.

        Raises:
            PolicyForbids: The blob has more bytes than the policy allows.
        """
        if self.most_bytes is not None and blob_bytes > self.most_bytes:
            raise PolicyForbids(
                f"the update has {blob_bytes} bytes; the node's policy allows {self.most_bytes}"
            )

    def clipped(self, arrays: Arrays) -> dict[str, Array]:
        """The arrays, all scaled by one factor if their norm together is above `clip`.

        Args:
            arrays: float32, finite.
        """
        length = norm(arrays) if self.clip is not None else 0.0
        if self.clip is None or length <= self.clip:
            return dict(arrays)
        factor = float(self.clip) / length * SAFELY
        return {
            name: np.asarray(np.multiply(array, factor, dtype=np.float64), np.float32)
            for name, array in arrays.items()
        }


OPEN = Policy()
"""The policy of a node that was given none: any task, no code of its own, whatever an update says and holds."""

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Most = Annotated[int, Field(ge=1, lt=1 << 63)]


class _Written(Section):
    allow_code: tuple[Digest, ...] = ()
    allow_manifests: tuple[Digest, ...] | None = None
    most_examples: Most | None = None
    most_bytes: Most | None = None
    clip_norm: Annotated[Number, Field(gt=0)] | None = None


def read_policy(path: Path) -> Policy:
    """Read a policy that a person wrote, in TOML.

    Raises:
        Misuse: The file cannot be read, is longer than `MAX_TOML_BYTES`, is not TOML, or has a wrong field, which the
            message names.
    """
    try:
        values = parse_toml(read_text(path, MAX_TOML_BYTES))
        verify_bounds(values)
        written = _Written.model_validate(values)
    except FileUnusable as trouble:
        raise Misuse(f"policy {trouble}") from None
    except ValidationError as error:
        raise Misuse(f"policy {path}: {_first(error)}") from None
    except ValueError as error:
        raise Misuse(f"policy {path}: {shown(error)}") from None
    manifests = written.allow_manifests
    return Policy(
        allowed_code=_digests(written.allow_code),
        allowed_manifests=None if manifests is None else _digests(manifests),
        most_examples=written.most_examples,
        most_bytes=written.most_bytes,
        clip=written.clip_norm,
    )


def _digests(texts: Collection[str]) -> frozenset[bytes]:
    return frozenset(map(bytes.fromhex, texts))


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    field = shown(".".join(str(part) for part in problem["loc"]), 100)
    if problem["type"] == "extra_forbidden":
        return f"{field}: unknown field; known are {', '.join(_Written.model_fields)}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{field}: {shown(message)} (given: {shown(repr(problem['input']), 80)})"
