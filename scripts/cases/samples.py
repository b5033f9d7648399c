"""Manifests, models and updates small enough to read, made of exact numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.history import History, Sent
from chain.accounts import to_address
from chain.types import Address
from fl_node.arrays import Array, Arrays
from fl_node.blobs.encoding import difference_schema
from fl_node.blobs.global_state import model_of
from fl_node.blobs.tensors import schema_of
from fl_node.manifest.manifest import Manifest, build_manifest
from fl_node.round.genesis import genesis_state
from fl_node.seeds import derive_seed

ALICE, BOB, CAROL = TRIO = tuple(to_address(f"0x{number:040x}") for number in (0x11, 0x22, 0x33))
STATING = {
    "kind": "module",
    "code": "12" * 32,
    "genesis": "34" * 32,
    "entry": "net:Net",
    "metrics": ["accuracy", "auc"],
    "requires": ["torch>=2.6", "scikit-learn"],
}
"""A learner whose updates state metrics and versions."""

STRANGER = to_address(f"0x{0x99:040x}")


def members(count: int) -> tuple[Address, ...]:
    """Members whose addresses differ in many digits, ascending."""
    numbers = sorted(derive_seed(1, "member", index) << 90 for index in range(count))
    return tuple(to_address(f"0x{number:040x}") for number in numbers)


def manifest_of(
    strategy: Any = "fedavg",
    who: tuple[Address, ...] = TRIO,
    rounds: dict[str, Any] | None = None,
    learner: Any = "classifier",
    **sections: Any,
) -> Manifest:
    """A manifest of one round among three members; `sections` replace others."""
    values = {"count": 1, "commit_window": 600, **(rounds or {})}
    return build_manifest(
        {"name": "case", "seed": 5, "members": list(who), "learner": learner, "rounds": values,
         "strategy": strategy, **sections}
    )  # fmt: skip


def numbers(seed: str, *shape: int, size: float = 1.0) -> Array:
    """Float32 from -size to size, the same on every machine."""
    count = int(np.prod(shape, dtype=int))
    bits = np.random.PCG64(derive_seed(1, seed)).random_raw(count) >> np.uint64(40)
    halves = bits.astype(np.float32) * np.float32(2.0**-23) - np.float32(1)
    return (halves * np.float32(size)).reshape(shape)


def model() -> dict[str, Array]:
    """Two tensors of a classifier's."""
    return {"base.weight": numbers("weight", 4, 3), "head.bias": numbers("bias", 5)}


def history_of(
    manifest: Manifest | None = None, first: Arrays | None = None, **where: Any
) -> History:
    """The opening of a task. `first` has all tensors of the model that it starts from."""
    manifest = manifest or manifest_of()
    tensors = model() if first is None else first
    return History(manifest, genesis_state(manifest, tensors), **where)


def moved(history: History, client: Address, size: float = 1.0) -> dict[str, Array]:
    """A difference for each weight and statistic of a round's parent, another for each client and round."""
    tensors = model_of(history.parent.arrays)
    roles = history.manifest.roles
    kept = {**roles.only("weight", tensors), **roles.only("statistic", tensors)}
    label = f"{client} {history.state.round}"
    return {
        name: numbers(f"{label} {name}", *spec.shape, size=size)
        for name, spec in difference_schema(schema_of(kept)).items()
    }


def everyone(history: History, size: float = 1.0) -> dict[Address, Sent]:
    """An honest update of each member of the cohort, with other numbers of examples."""
    return {
        client: history.update(client, moved(history, client, size), examples=10 + 7 * index)
        for index, client in enumerate(history.cohort())
    }


def played(history: History) -> History:
    """The history with all its rounds played by everyone."""
    while history.state.phase != 4:
        history.play(everyone(history))
    return history
