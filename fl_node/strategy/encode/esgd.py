"""eSGD: send the elements with the most credit, with their positions, in the format of `TopK`.

How elements earn credit concerns only the sender (`fl_node.strategy.encode.feedback`): decoding needs the positions
alone.

Source: Tao and Li 2018, "eSGD: communication efficient distributed deep learning on the edge" (USENIX HotEdge).
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from fl_node.arrays import Array
from fl_node.errors import Misuse
from fl_node.fields import Choice, Number
from fl_node.strategy.encode.sparse import count_of, gather, largest, magnitudes
from fl_node.strategy.encode.top_k import TOP_K


class Esgd(Choice):
    """Send a fraction of each tensor's elements, rounded up: those with the most credit, or else the largest."""

    kind: Literal["esgd"] = "esgd"
    sparse: ClassVar[bool] = True
    fraction: Annotated[Number, Field(gt=0, le=1)] = Decimal("0.125")


def _encode_credited(knobs: Esgd, values: Array, credit: Array) -> tuple[Array, dict[str, Array]]:
    count = count_of(knobs.fraction, values.size)
    if credit.shape != values.shape:
        raise Misuse(f"the credit has shape {credit.shape}, but the tensor has {values.shape}")
    return gather(values, largest(credit.reshape(-1), count, magnitudes(values)))


ESGD = replace(TOP_K, encode_credited=_encode_credited)
"""Without credit it is top-k."""
