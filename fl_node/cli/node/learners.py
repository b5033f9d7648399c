"""What a member trains on, and the learner that the task's manifest names."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Protocol, TypeVar

from fl_node.blobs.store import Store
from fl_node.child.learner import ChildLearner
from fl_node.cli.parts import Part
from fl_node.learner import Learner
from fl_node.manifest.code_learners import CodeLearner
from fl_node.manifest.manifest import Manifest
from fl_node.manifest.packing import Draft
from fl_node.member.joining import verify_genesis
from fl_node.member.own_code import own_code
from fl_node.round.policy import Policy

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Share:
    """What a member trains on, and where: its data, its part of it, and the options of the other names."""

    data: str
    part: Part
    device: str | None
    threads: int


Sleep = Callable[[float], None]
"""Waits so many seconds."""


class Waiting(Protocol):
    """Calls a function until it succeeds, as `patiently` does."""

    def __call__(self, act: Callable[[], T], /) -> T: ...


def open_learner(
    stack: ExitStack,
    manifest: Manifest,
    store: Store,
    recorded: bytes,
    share: Share,
    policy: Policy,
    timeout: float,
    waiting: Waiting,
) -> tuple[Learner, Sleep]:
    """The member's learner, and how a node that has it waits.

    Args:
        stack: Ends the learner's process, if it has one.
        manifest: The task.
        store: The task's store.
        recorded: The digest of the task's genesis on chain, which is checked.
        share: What the member trains on.
        policy: Which code may run here.
        timeout: Seconds that the task's own code may take for one answer.
        waiting: Waits errors of the store out.

    Raises:
        CodeRefused: The task's code is not allowed here, or does not run.
        DataUnusable: The data cannot be read.
        DeviceUnusable: The machine has no such device.
        Misuse: The genesis on chain does not follow from the manifest.
    """
    if isinstance(manifest.learner, CodeLearner):
        child = _child(manifest, manifest.learner, store, recorded, share, policy, timeout)
        return stack.enter_context(child), time.sleep
    return waiting(lambda: _shipped(manifest, store, recorded, share)), _idling(share.device)


def _child(
    manifest: Manifest,
    learner: CodeLearner,
    store: Store,
    recorded: bytes,
    share: Share,
    policy: Policy,
    timeout: float,
) -> ChildLearner:
    """Check consent, and the task's genesis against its first model; the learner's process starts after that."""
    own = own_code(Draft(manifest), learner, store, policy.allowed_code)
    verify_genesis(own.genesis, recorded)
    return own.on(
        share.data,
        **asdict(share.part),
        device=share.device,
        threads=share.threads,
        timeout=timeout,
    )


def _shipped(manifest: Manifest, store: Store, recorded: bytes, share: Share) -> Learner:
    """Check the task's genesis against the manifest's seed, then make the member's learner on its own pictures."""
    from fl_node.learning import task  # Imports torch, which nothing before this needs.

    verify_genesis(task.derive_genesis(manifest), recorded)
    whole, part = task.load_data(manifest, share.data), share.part
    images = task.part_of(manifest, whole, part.rule, part.index, part.count)
    return task.make_learner(manifest, images, share.device, share.threads, store)


def _idling(device: str | None) -> Callable[[float], None]:
    # Imports torch, which the learner has imported by now.
    from fl_node.learning.device import idling

    return idling(device)
