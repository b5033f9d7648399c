"""Updates and states to combine, made of few numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from chain.types import Address
from fl_node.arrays import Arrays
from fl_node.blobs.encoding import Update, UpdateHeader
from fl_node.blobs.global_state import first_state, model_of
from fl_node.fields import Choice
from fl_node.strategy.combine import COMBINE


def update_of(client: int, arrays: Arrays, examples: int = 1, steps: int = 1) -> Update:
    """An update, valid in everything that a rule looks at."""
    address = Address(f"0x{client:040x}")
    return Update(UpdateHeader(1, 1, address, bytes(32), examples, steps, "float32", 0), arrays)


def update(client: int, values: object, examples: int = 1, steps: int = 1) -> Update:
    """An update of one tensor."""
    return update_of(client, {"w": np.asarray(values, np.float32)}, examples, steps)


def random_updates(seed: int, count: int, size: int) -> list[Update]:
    """Updates with addresses from 1 up, of 1 to 999 examples, that took 1 to 99 steps."""
    random = np.random.default_rng(seed)
    return [
        update(
            client,
            random.standard_normal(size),
            int(random.integers(1, 1000)),
            int(random.integers(1, 100)),
        )
        for client in range(1, count + 1)
    ]


def combined(knobs: Choice, parent: Arrays, updates: Iterable[Update]) -> dict[str, Any]:
    """What the rule makes of a model and updates, with zeros as the server's state where the parent has none."""
    rule = COMBINE[type(knobs)]
    return rule.combine(knobs, {**first_state(model_of(parent), rule.slots), **parent}, updates)


def moved(knobs: Choice, parent: object, *updates: Update) -> Any:
    """The one tensor, combined."""
    return combined(knobs, {"w": np.asarray(parent, np.float32)}, updates)["w"]
