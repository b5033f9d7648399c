"""What a rule of combination is, and the one thing that all of them insist on."""

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
        combine: (knobs, parent, updates) to the next state. The knobs are the `Choice` that the table lists the rule
            under. The parent holds the model and, as `server.SLOT.NAME`, the rule's own slots. The updates are
            valid (`fl_node.round.validity`) and ascend strictly by client address; what travels beside the difference
            is passed over. The result has the parent's names, shapes and dtypes; without any update it is the
            parent, byte for byte. However few updates are left, and whatever finite numbers are in them, a rule
            gives a finite result: it never stops a round. Raises `Misuse` where the updates do not ascend.
        slots: The server state it keeps: for each slot one float32 array for each tensor, zeros at genesis.
    """

    combine: Callable[[Any, Arrays, Iterable[Update]], dict[str, Array]]
    slots: tuple[str, ...] = ()


def ascending(updates: Iterable[Update]) -> Iterator[Update]:
    """Yield the updates, and refuse them where they do not ascend by client.

    Raises:
        Misuse: An update's client is not above the one before.
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
