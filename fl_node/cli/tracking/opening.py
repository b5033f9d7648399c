"""From what `--log-to` names to a node's tracking."""

from __future__ import annotations

from functools import partial

from fl_node.blobs.model import decode_model
from fl_node.blobs.store import Store
from fl_node.cli.node.display import Show
from fl_node.cli.service.watch import Watch
from fl_node.cli.tracking.drawing import Draw, drawing
from fl_node.cli.tracking.places import open_tracker
from fl_node.cli.tracking.rounds import Tracking
from fl_node.cli.tracking.trackers import Picture
from fl_node.cli.tracking.updates import numbers_of
from fl_node.errors import GanchorError
from fl_node.manifest.manifest import Manifest
from fl_node.member.models import Models
from fl_node.member.nearest import Nearest
from fl_node.member.state import Membership, NodeState


def tracking_to(
    place: str,
    membership: Membership,
    manifest: Manifest,
    folder: NodeState,
    store: Store,
    watch: Watch,
    tell: Show,
) -> Tracking:
    """Open what `--log-to` names for one node.

    Args:
        place: As `open_tracker` takes it.
        membership: The member and its task; they name the run.
        manifest: The task.
        folder: The node's state folder.
        store: The task's store.
        watch: Counts what the node does.
        tell: Told if the tracker fails.

    Raises:
        Misuse: As `open_tracker`.
    """
    run = f"task-{membership.task}-{membership.client}"
    facts = {
        "task": membership.task,
        "name": manifest.name,
        "member": membership.client,
        "chain": membership.chain_id,
        "contract": membership.contract,
    }
    models = Models(manifest, folder, Nearest(folder, store))
    return Tracking(
        open_tracker(place, run, facts),
        place,
        watch,
        partial(numbers_of, manifest, folder, models),
        partial(_drawn, drawing(manifest), folder),
        tell,
    )


def _drawn(draw: Draw | None, folder: NodeState, digest: bytes) -> Picture | None:
    """Samples of a model that the node has; it downloads none for a picture."""
    try:
        blob = None if draw is None else folder.blob(digest)
        return None if draw is None or blob is None else draw(decode_model(blob))
    except GanchorError:
        return None
