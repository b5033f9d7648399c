"""The numbers of an update that this node committed to, from its state folder."""

from __future__ import annotations

from fl_node.blobs.encoding import decode_update
from fl_node.blobs.sealed import unseal
from fl_node.cli.subjects import MILLION
from fl_node.errors import GanchorError
from fl_node.manifest.manifest import Manifest
from fl_node.member.models import Models
from fl_node.member.state import NodeState
from fl_node.round.dry_run import norm_of
from fl_node.round.form import update_form


def numbers_of(
    manifest: Manifest, folder: NodeState, models: Models, round: int, parent_digest: bytes
) -> dict[str, float]:
    """The losses, size, norm and metrics of the update that the node planned for a round; empty if it has none.

    Args:
        manifest: The task.
        folder: The node's state folder.
        models: Give the form of the task's updates.
        round: From 1.
        parent_digest: Of the model that the round starts from.
    """
    try:
        plan = folder.plan(round, parent_digest)
        if plan is None or plan.opening is None:
            return {}
        opening = plan.opening
        blob = unseal(folder.update(round, opening.update_digest), opening.salt)
        form = update_form(manifest, models.load(parent_digest).arrays)
        sent = decode_update(blob)
        norm = norm_of(manifest, form, sent)
    except GanchorError:
        return {}  # The node's own step says what is wrong with its folder or the store.
    return {
        "loss/training": opening.training_loss / MILLION,
        "loss/held_out": opening.held_out_loss / MILLION,
        "update/examples": opening.num_examples,
        "update/steps": sent.header.steps,
        "update/bytes": len(blob),
        "update/norm": norm,
        **{
            f"metric/{name}": float(value)
            for name, value in sent.header.metrics.items()
            if value is not None
        },
    }
