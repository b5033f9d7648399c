"""What the parent asks of the child; the child reads it without checking, because it has no choice but to trust it."""

from __future__ import annotations

from dataclasses import asdict, replace
from decimal import Decimal
from typing import Any

from fl_node.arrays import Arrays
from fl_node.child.frames import Message
from fl_node.child.setup import Setup
from fl_node.learner import Assignment

_PLAIN = ("seed", "steps", "round", "fresh")
_FLOATS = ("mu", "discrepancy")
_OPTIONAL = ("private", "anchor", "correction")


def open_request(setup: Setup, genesis: Arrays) -> Message:
    """Ask to open the learner, with the whole model that the task starts from."""
    return Message({"call": "open", "setup": _plain(setup)}, {"genesis": genesis})


def genesis_request(setup: Setup) -> Message:
    """Ask for the model that a task is to start from."""
    return Message({"call": "genesis", "setup": _plain(setup)})


def steps_request(epochs: int) -> Message:
    """Ask how many steps some passes over the data take."""
    return Message({"call": "steps_for", "epochs": epochs})


def train_request(assignment: Assignment) -> Message:
    """Ask for a training."""
    says: dict[str, Any] = {"call": "train"} | {name: getattr(assignment, name) for name in _PLAIN}
    says |= {name: float(getattr(assignment, name)).hex() for name in _FLOATS}
    groups = {"model": assignment.model}
    groups |= {
        name: arrays for name in _OPTIONAL if (arrays := getattr(assignment, name)) is not None
    }
    groups |= {f"opponent{number}": arrays for number, arrays in enumerate(assignment.opponents)}
    return Message(says, groups)


def measure_request(model: Arrays, private: Arrays | None, training: bool) -> Message:
    """Ask how good a model is."""
    given = {} if private is None else {"private": private}
    return Message({"call": "measure", "training": training}, {"model": model, **given})


def setup_of(request: Message) -> Setup:
    """The setup of `open_request` or `genesis_request`."""
    fields = request.says["setup"]
    setup = Setup(**fields)
    return replace(
        setup,
        share=tuple(setup.share),
        metrics=tuple(setup.metrics),
        held_out=Decimal(setup.held_out),
    )


def assignment_of(request: Message) -> Assignment:
    """The assignment of `train_request`."""
    says, groups = request.says, request.groups
    opponents = sum(name.startswith("opponent") for name in groups)
    fields: dict[str, Any] = {name: groups.get(name) for name in _OPTIONAL}
    fields |= {name: says[name] for name in _PLAIN}
    fields |= {name: float.fromhex(says[name]) for name in _FLOATS}
    fields["opponents"] = tuple(groups[f"opponent{number}"] for number in range(opponents))
    return Assignment(model=groups["model"], **fields)


def _plain(setup: Setup) -> dict[str, Any]:
    fields = asdict(setup)
    return fields | {"held_out": str(setup.held_out)}
