"""What an aggregation rule is, and the order of updates that all rules require."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from chain.types import address_number
from fl_node.arrays import Array, Arrays
from fl_node.blobs.encoding import Update
from fl_node.errors import Misuse


@dataclass(frozen=True, slots=True)
class Rule:
    """How updates become the next global state.

    Attributes:
        combine: (knobs, parent, updates) -> next state. The knobs are an instance of the rule's `Choice` in the table.
            The parent holds the model and, as `server.SLOT.NAME`, the rule's own slots. The updates are valid
            (`fl_node.round.validity`) and strictly ascending by client address; a rule uses only their differences.
            The result has the parent's names, shapes and dtypes. Without updates it is the parent, byte for byte. A
            rule gives a finite result for any number of updates with any finite values, so that it never stops a
            round. Raises `Misuse` if the updates do not ascend.
        slots: The server's state that the rule keeps: in each slot one float32 array for each tensor, zero at genesis.
    """

    combine: Callable[[Any, Arrays, Iterable[Update]], dict[str, Array]]
    slots: tuple[str, ...] = ()


def ascending(updates: Iterable[Update]) -> Iterator[Update]:
    """Yield the updates, and refuse them if they do not ascend by client.

    Raises:
        Misuse: An update's client is not above the previous one.
    """
    last = -1
    for update in updates:
        number = address_number(update.header.client)
        if number <= last:
            raise Misuse(
                f"updates must ascend by client: {update.header.client} comes after 0x{last:040x}"
            )
        last = number
        yield update
