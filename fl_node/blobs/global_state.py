"""The global state: the shared model, together with the server's state, such as a momentum.

There is no server: the state that a paper's server would keep lies in the model blob. The model's tensors have their
own names, and the server's state is named `server.SLOT.NAME`. Both are stored, hashed, attested and audited together.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from fl_node.arrays import Array, Arrays, prefixed, unprefixed
from fl_node.blobs.encoding import difference_schema
from fl_node.blobs.tensors import Schema, Spec
from fl_node.errors import Misuse

SERVER = "server."


def model_of(state: Arrays) -> dict[str, Array]:
    """The model in a global state, without the server's state."""
    return {name: array for name, array in state.items() if not name.startswith(SERVER)}


def slot_of(state: Arrays, slot: str) -> dict[str, Array]:
    """One slot of the server's state, by tensor name."""
    return unprefixed(f"{SERVER}{slot}.", state)


def named_in_slot(slot: str, arrays: Arrays) -> dict[str, Array]:
    """The arrays of a slot, under their names in a global state."""
    return prefixed(f"{SERVER}{slot}.", arrays)


def first_state(model: Arrays, slots: Sequence[str]) -> dict[str, Array]:
    """The global state that a task starts from: the model, and zeros in every slot.

    Raises:
        Misuse: A tensor's name is reserved for the server's state, or for what an update sends with the difference.
    """
    state = dict(model)
    for name in model:
        if name.startswith((SERVER, *(f"{slot}." for slot in slots))):
            raise Misuse(
                f"tensor {name!r}: this prefix is reserved for the server's state; rename it"
            )
    for slot in slots:
        zeros = {name: np.zeros(array.shape, np.float32) for name, array in model.items()}
        state |= named_in_slot(slot, zeros)
    return state


def part_of(state: Arrays, slots: Collection[str]) -> dict[str, Array]:
    """The model with some of the slots."""
    kept = tuple(f"{SERVER}{slot}." for slot in slots)
    return {
        name: array
        for name, array in state.items()
        if not name.startswith(SERVER) or name.startswith(kept)
    }


def update_schema(model: Schema, sent: Sequence[str]) -> dict[str, Spec]:
    """The schema of a model's decoded updates: its difference, and each slot that is sent with it."""
    difference = difference_schema(model)
    slots = {f"{slot}.{name}": spec for slot in sent for name, spec in difference.items()}
    return difference | slots
