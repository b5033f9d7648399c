"""What an aggregation rule is, and the order of updates that all rules require."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from chain.types import address_number
from fl_node.arrays import Array, Arrays
from fl_node.blobs.encoding import Update
from fl_node.errors import Misuse


class Combine(Protocol):
    """A rule's function."""

    def __call__(
        self,
        knobs: Any,
        parent: Arrays,
        updates: Iterable[Update],
        statistics: Collection[str] = (),
    ) -> dict[str, Array]:
        """Combine updates into the next state.

        A rule gives a finite result for any number of updates with any finite values, so that it never stops a round.

        Args:
            knobs: An instance of the rule's `Choice` in the table.
            parent: The model's weights and statistics, and as `server.SLOT.NAME` the rule's own slots; floating point.
            updates: Valid (`fl_node.round.validity`) and strictly ascending by client address. A rule uses only their
                differences.
            statistics: The names of the tensors that are not weights (`fl_node.strategy.roles`). No rule takes them for
                gradients, or measures distances by them.

        Returns:
            The next state, with the parent's names, shapes and dtypes; without updates the parent, byte for byte.

        Raises:
            Misuse: The updates do not ascend.
        """


@dataclass(frozen=True, slots=True)
class Rule:
    """How updates become the next global state.

    Attributes:
        combine: The function.
        slots: The server's state that the rule keeps: in each slot one float32 array for each weight, zero at genesis.
    """

    combine: Combine
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
