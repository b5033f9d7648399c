"""A real ledger, a real store, and a real but very small GAN on the handwritten digits."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chain.accounts import Signer, address_of, dev_accounts
from chain.ledger import Ledger
from chain.types import Address
from fl_node.blobs.store import Store
from fl_node.learner import Learner
from fl_node.learning import Images
from fl_node.learning.task import load_data, make_learner, part_of
from fl_node.manifest.manifest import Manifest, build_manifest
from fl_node.member.next_action import Action
from fl_node.member.participant import Participant
from fl_node.member.state import Membership, NodeState

PARTITION = "dirichlet:0.5"
TINY_GAN = {
    "generator_width": 4,
    "discriminator_width": 4,
    "latent": 8,
    "batch": 8,
    "extractor": {"width": 4},
}


def signers(count: int) -> list[Signer]:
    """Accounts in ascending order of address: position = index on chain."""
    return dev_accounts(7, count)


def tiny_manifest(count: int = 3, **changes: Any) -> Manifest:
    """A GAN that trains in a moment."""
    values: dict[str, Any] = {
        "name": "tiny",
        "seed": 3,
        "members": [address_of(signer) for signer in signers(count)],
        "data": {"channels": 1, "size": 32},
        "learner": TINY_GAN,
        "strategy": {"share": ["generator.*"], "work": {"steps": 2}},
        "rounds": {"count": 2},
    }
    return build_manifest({**values, **changes})


@functools.cache
def digits(channels: int, size: int) -> Images:
    """Every digit, brought to size once."""
    return load_data(tiny_manifest(data={"channels": channels, "size": size}), "digits")


def learner_of(manifest: Manifest, member: Address) -> Learner:
    members = manifest.addresses
    whole = digits(manifest.data.channels, manifest.data.size)
    images = part_of(manifest, whole, PARTITION, members.index(member), len(members))
    return make_learner(manifest, images, "cpu", 1)


@dataclass
class Running:
    """A task on a ledger: served by a chain, or in memory.

    Attributes:
        acting_as: The ledger, as an account sees it that may call.
        ledger: The same ledger, to read.
    """

    folder: Path
    acting_as: Callable[[Signer], Ledger]
    ledger: Callable[[], Ledger]
    store: Store
    manifest: Manifest
    task: int

    @contextlib.contextmanager
    def participant(self, signer: Signer) -> Iterator[Participant]:
        ledger = self.acting_as(signer)
        membership = Membership(ledger.chain_id, ledger.contract, self.task, ledger.account)
        learner = learner_of(self.manifest, ledger.account)
        with NodeState(self.folder / "nodes" / ledger.account, membership) as state:
            yield Participant(ledger, self.store, learner, self.task, self.manifest, state)

    @contextlib.contextmanager
    def nodes(self) -> Iterator[list[Participant]]:
        """Every member's node."""
        with contextlib.ExitStack() as stack:
            members = signers(len(self.manifest.members))
            yield [stack.enter_context(self.participant(signer)) for signer in members]

    def finish(self, nodes: list[Participant]) -> bytes:
        """Step the nodes in turn until the task is finished; the final digest."""
        while {node.step().action for node in nodes} != {Action.FINISHED}:
            pass
        return self.ledger().task_state(self.task).parent_digest

    def run(self) -> bytes:
        """Run the whole task with every member's node; the final digest."""
        with self.nodes() as nodes:
            return self.finish(nodes)
