"""The global state that a task starts from: the shared part of its first model, and what the server keeps beside it.

It follows from tensors alone. Nobody needs torch for it, nor the code that made the model.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from fl_node.arrays import Array, Arrays
from fl_node.blobs.global_state import first_state
from fl_node.blobs.model import load_model
from fl_node.blobs.reader import Reader
from fl_node.blobs.tensors import schema_of
from fl_node.errors import BadData, ManifestInvalid
from fl_node.manifest.code_learners import CodeLearner
from fl_node.manifest.manifest import Manifest
from fl_node.strategy.roles import Roles
from fl_node.strategy.sharing import shared_names, shared_part


def genesis_state(manifest: Manifest, model: Arrays) -> dict[str, Array]:
    """The global state that a manifest's task starts from.

    Args:
        manifest: The task.
        model: All tensors of its first model, shared or not. Those of integers are constants.

    Raises:
        ManifestInvalid: A pattern of `strategy.share` or `roles` matches no tensor, or no weight is shared, or an
            average is shared without what it is of or has another shape; or something is published that is averaged,
            or that nobody trains against; or a tensor is not finite.
    """
    share, roles = manifest.strategy.share, manifest.roles
    _verify_finite(model)
    _verify_roles(roles, model)
    shared = shared_part(model, share.average)
    published = schema_of(shared_part(model, share.publish))
    objection = roles.objection(shared) or published_objection(
        manifest.learner.opponent, model, shared, published
    )
    if objection:
        raise ManifestInvalid(f"strategy.share: {objection}")
    weights = roles.only("weight", shared)
    return first_state(shared, manifest.strategy.slots, weights, published)


def stored_genesis(manifest: Manifest, learner: CodeLearner, store: Reader) -> dict[str, Array]:
    """The global state that a task with a member's own code starts from, by the model blob that its manifest names.

    Args:
        manifest: The task.
        learner: Its learner.
        store: The task's store.

    Raises:
        ManifestInvalid: The blob is missing, altered, too long, or no model; or as for `genesis_state`.
        StoreUnusable: The store cannot be read.
    """
    return genesis_state(manifest, first_model(manifest, learner, store))


def first_model(manifest: Manifest, learner: CodeLearner, store: Reader) -> Arrays:
    """All tensors of the model that a task with a member's own code starts from; raises as `stored_genesis` does."""
    try:
        return load_model(store, bytes.fromhex(learner.genesis), manifest.limits.model_bytes).arrays
    except BadData as trouble:
        raise ManifestInvalid(f"learner.genesis: {trouble}; is this the task's store?") from None


def published_objection(
    opponent: str | None,
    model: Collection[str],
    shared: Collection[str],
    published: Collection[str],
) -> str | None:
    """Why members cannot publish these tensors of the model; None if they can, or if there are none.

    Args:
        opponent: The part of the model of which members train against each other's copies.
        model: Names of all its tensors.
        shared: Names of those that are averaged.
        published: Names of those that are to be published.
    """
    part = f"{opponent}."
    whole = {name for name in model if name.startswith(part)}
    if published and set(published) != whole:
        differing = min(set(published) ^ whole)
        return f'publish = ["{part}*"] is the only choice, because members train against it: {differing!r} differs'
    both = sorted(set(published) & set(shared))
    return (
        f"{both[0]!r} is averaged, so everybody has it: publish only what is not" if both else None
    )


def _verify_finite(model: Arrays) -> None:
    for name, array in sorted(model.items()):
        if not np.isfinite(array).all():
            raise ManifestInvalid(f"the genesis model: tensor {name!r} is not finite")


def _verify_roles(roles: Roles, model: Arrays) -> None:
    """Check that every pattern of the roles matches a tensor, and that every average has the form of what it is of."""
    shared_names(model, roles.statistics, "roles.statistics")
    shared_names(model, roles.at_least_zero, "roles.at_least_zero")
    for average in roles.averages:
        shared_names(model, [f"{average.name}.*"], "roles.averages")
    schema = schema_of(model)
    for name in sorted(schema):
        found = roles.average_of(name)
        if found and schema.get(found[1]) != schema[name]:
            raise ManifestInvalid(
                f"roles.averages: {name!r} is the average of {found[1]!r}, which must have the same shape and dtype"
            )
