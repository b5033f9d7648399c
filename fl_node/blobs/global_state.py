"""The global state: the shared model, together with the server's state, such as a momentum.

There is no server: the state that a paper's server would keep lies in the model blob. The model's tensors have their
own names, and the server's state is named `server.SLOT.NAME`. Both are stored, hashed, attested and audited together.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from fl_node.arrays import Array, Arrays, floating, prefixed, unprefixed
from fl_node.blobs.tensors import Schema, Spec, schema_of
from fl_node.errors import Misuse

SERVER = "server."

PUBLISHED = "published"
"""The prefix of what a member publishes in its update, and the slot for its shapes in the global state."""

FLOAT32 = np.dtype(np.float32)
INT64 = np.dtype(np.int64)
NOTHING: Schema = {}


def model_of(state: Arrays) -> dict[str, Array]:
    """The model in a global state, without the server's state."""
    return {name: array for name, array in state.items() if not name.startswith(SERVER)}


def slot_of(state: Arrays, slot: str) -> dict[str, Array]:
    """One slot of the server's state, by tensor name."""
    return unprefixed(f"{SERVER}{slot}.", state)


def named_in_slot(slot: str, arrays: Arrays) -> dict[str, Array]:
    """The arrays of a slot, under their names in a global state."""
    return prefixed(f"{SERVER}{slot}.", arrays)


def first_state(
    model: Arrays,
    slots: Sequence[str],
    weights: Collection[str] | None = None,
    published: Schema = NOTHING,
) -> dict[str, Array]:
    """The global state that a task starts from: the model, and zeros in every slot.

    Args:
        model: The shared tensors.
        slots: What the server keeps for each weight.
        weights: The names of those tensors that are weights (`fl_node.strategy.roles`); None if all are that are not
            constants.
        published: The tensors that each member publishes. The state has their shapes, so that an update's form follows
            from it.

    Raises:
        Misuse: A tensor's name is reserved for the server's state, or for what an update sends with the difference.
    """
    schema = state_schema(schema_of(model), slots, weights, published)
    shapes = {name: np.array(spec.shape, np.int64) for name, spec in published.items()}
    given = {**model, **named_in_slot(PUBLISHED, shapes)}
    return {
        name: given[name] if name in given else np.zeros(*spec) for name, spec in schema.items()
    }


def state_schema(
    model: Schema,
    slots: Sequence[str],
    weights: Collection[str] | None = None,
    published: Schema = NOTHING,
) -> dict[str, Spec]:
    """The schema of every global state of a task. Arguments and errors as for `first_state`."""
    schema = dict(model)
    for name in model:
        if name.startswith((SERVER, *(f"{slot}." for slot in (*slots, PUBLISHED)))):
            raise Misuse(
                f"tensor {name!r}: this prefix is reserved for the server's state; rename it"
            )
    for slot in slots:
        schema |= {
            f"{SERVER}{slot}.{name}": Spec(spec.shape, FLOAT32)
            for name, spec in floating(model).items()
            if weights is None or name in weights
        }
    shapes = {name: Spec((len(spec.shape),), INT64) for name, spec in published.items()}
    return schema | {f"{SERVER}{PUBLISHED}.{name}": spec for name, spec in shapes.items()}


def published_schema(state: Arrays) -> dict[str, Spec]:
    """The tensors that each member publishes, in float32, under their names in the model.

    The state may be untrusted: what is not the shape of a tensor is left out.
    """
    return {
        name: Spec(tuple(shape.tolist()), FLOAT32)
        for name, shape in slot_of(state, PUBLISHED).items()
        if shape.dtype == np.int64 and shape.ndim == 1 and np.all(shape > 0)
    }
