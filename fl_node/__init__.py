"""Federated learning whose rounds run on a contract and whose history anyone can replay bit for bit.

The names below are the library (docs/library.md). Each is imported when it is first used, so that `import fl_node`
takes no time, and torch is loaded only by those who train. The audit is `from fl_node.audit import audit`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fl_node.blobs.global_state import model_of
    from fl_node.blobs.model import decode_model, encode_model, load_model
    from fl_node.blobs.store import Store, open_store
    from fl_node.errors import BadData, GanchorError, Misuse
    from fl_node.learner import Assignment, Learner, Measured, Trained
    from fl_node.learning.export import build_networks
    from fl_node.learning.task import (
        derive_genesis,
        load_data,
        make_learner,
        partitioned,
    )
    from fl_node.manifest.manifest import Manifest, build_manifest, read_manifest
    from fl_node.member.joining import load_manifest, verify_genesis
    from fl_node.member.next_action import Action
    from fl_node.member.opening import open_task
    from fl_node.member.participant import Participant
    from fl_node.member.simulation import simulate
    from fl_node.member.state import Membership, NodeState
    from fl_node.member.taking_part import take_part

_ROOM_OF = {
    "Action": "member.next_action",
    "Assignment": "learner",
    "BadData": "errors",
    "GanchorError": "errors",
    "Learner": "learner",
    "Manifest": "manifest.manifest",
    "Membership": "member.state",
    "Misuse": "errors",
    "NodeState": "member.state",
    "Participant": "member.participant",
    "Store": "blobs.store",
    "Measured": "learner",
    "Trained": "learner",
    "build_manifest": "manifest.manifest",
    "build_networks": "learning.export",
    "decode_model": "blobs.model",
    "derive_genesis": "learning.task",
    "encode_model": "blobs.model",
    "load_data": "learning.task",
    "load_manifest": "member.joining",
    "load_model": "blobs.model",
    "make_learner": "learning.task",
    "model_of": "blobs.global_state",
    "open_store": "blobs.store",
    "open_task": "member.opening",
    "partitioned": "learning.task",
    "read_manifest": "manifest.manifest",
    "simulate": "member.simulation",
    "take_part": "member.taking_part",
    "verify_genesis": "member.joining",
}

__all__ = [
    "Action",
    "Assignment",
    "BadData",
    "GanchorError",
    "Learner",
    "Manifest",
    "Measured",
    "Membership",
    "Misuse",
    "NodeState",
    "Participant",
    "Store",
    "Trained",
    "build_manifest",
    "build_networks",
    "decode_model",
    "derive_genesis",
    "encode_model",
    "load_data",
    "load_manifest",
    "load_model",
    "make_learner",
    "model_of",
    "open_store",
    "open_task",
    "partitioned",
    "read_manifest",
    "simulate",
    "take_part",
    "verify_genesis",
]


def __getattr__(name: str) -> Any:
    """Import a name of the library when it is first asked for (PEP 562)."""
    if name not in _ROOM_OF:
        raise AttributeError(f"module 'fl_node' has no attribute {name!r}")
    return getattr(import_module(f"fl_node.{_ROOM_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
