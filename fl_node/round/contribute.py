"""One member's work in one round, from the received model to an update blob, without chain or store.

Both the node and the simulation call `contribute`, so they train to the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from chain.text import shown
from chain.types import Address
from fl_node.arrays import Array, Arrays, prefixed, unprefixed
from fl_node.blobs.encoding import (
    VERSION,
    UpdateHeader,
    difference,
    encode_update,
    encoding_seed,
)
from fl_node.blobs.global_state import model_of, slot_of
from fl_node.blobs.metrics import metrics_of
from fl_node.errors import TrainingDiverged, TrainingFailed
from fl_node.history.past import Past, median_loss
from fl_node.learner import (
    Assignment,
    Learner,
    Measured,
    StepProgress,
    Trained,
    no_progress,
    without_optimisers,
)
from fl_node.manifest.manifest import Manifest
from fl_node.round.policy import OPEN, Policy
from fl_node.round.published import Published, draw_opponents, published_part
from fl_node.seeds import derive_seed
from fl_node.strategy.encode.feedback import encode_with_feedback
from fl_node.strategy.roles import Roles
from fl_node.strategy.send import worth_sending
from fl_node.strategy.train import TRAIN, Context, UntilMedian, keep_pace, learners_own

MILLIONTHS = 1_000_000
MAX_LOSS = ((1 << 63) - 1) // MILLIONTHS
"""The largest absolute loss: in millionths, a larger one does not fit into a reveal's int64."""

TRAINING, SENDING = "training.", "sending."
"""Prefixes of a member's private arrays: what training keeps, and what encoding keeps."""


@dataclass(frozen=True, slots=True)
class UpdateId:
    """Where a contribution belongs: the part of the update's header that is known before training."""

    task: int
    round: int
    client: Address
    parent_digest: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """What a member starts a round with.

    Attributes:
        state: The round's parent, with the server's state.
        previous: The model that the last round started from; None if that round included no update, if there was none,
            or if the strategy does not need it.
        past: The final rounds so far; empty if the strategy does not need them.
        published: What the members of the last round with updates published; empty if the strategy does not need it.
            Others than a member's opponents may be left out (`draw_opponents`).
    """

    state: Arrays
    previous: Arrays | None = None
    past: Past = ()
    published: Published = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contribution:
    """What a member sends, and what it keeps.

    Attributes:
        blob: The encoded update; None if it was not worth sending.
        num_examples: > 0.
        training_loss, held_out_loss: In millionths, rounded to the nearest.
        private: The private arrays that the member's next round needs.
    """

    blob: bytes | None
    num_examples: int
    training_loss: int
    held_out_loss: int
    private: Arrays


def contribute(
    manifest: Manifest,
    update_id: UpdateId,
    learner: Learner,
    received: Received,
    private: Arrays | None,
    progress: StepProgress = no_progress,
    policy: Policy = OPEN,
) -> Contribution:
    """Train on the received model and encode the difference.

    Args:
        manifest: Gives the seed and the strategy.
        update_id: Task, round, client and parent.
        learner: Trains on this member's data.
        received: The round's parent, and as much of the past as the strategy needs.
        private: The private arrays from the last round in which the member trained; None before its first.
        progress: Called with the steps.
        policy: The node's own, which scales a longer difference and keeps back what it does not allow.

    Raises:
        PolicyForbids: The update states more examples, or has more bytes, than the policy allows.
        TrainingDiverged: The learner raised it, a loss is NaN or larger than `MAX_LOSS`, or a weight has moved further
            than float32 can say.
        TrainingFailed: The learner raised it, or does not state a version that the manifest requires.
    """
    model = model_of(received.state)
    learner_private = learners_own(manifest.strategy.train, _kept(TRAINING, private))
    measured = learner.measure(model, learner_private)
    trained = _train(manifest, update_id, learner, received, private, progress)
    training_loss = _millionths("training", trained.training_loss)
    policy.verify_examples(trained.num_examples)
    weights, statistics, beside = _leaving(manifest.roles, policy, trained, model)
    sending = unprefixed(SENDING, private or {})
    blob, keeping = None, trained.private
    last_move = _last_move(manifest.roles, received)
    if worth_sending(manifest.strategy.send, weights, last_move, update_id.round):
        header = _header(manifest, update_id, trained, measured)
        encode = manifest.strategy.encode
        encoded = encode_with_feedback(encode, weights, beside, sending, header.seed, training_loss)
        published = published_part(received.state, trained.private)
        blob = encode_update(header, {**encoded.arrays, **statistics, **published})
        policy.verify_size(len(blob))
        sending = encoded.kept
        keeping = keep_pace(manifest.strategy.train, trained.private, encoded.sent)
    if manifest.learner.optimiser_state == "fresh":
        keeping = without_optimisers(keeping)
    return Contribution(
        blob=blob,
        num_examples=trained.num_examples,
        training_loss=training_loss,
        held_out_loss=_millionths("held-out", measured.loss),
        private=prefixed(TRAINING, keeping) | prefixed(SENDING, sending),
    )


def _train(
    manifest: Manifest,
    update_id: UpdateId,
    learner: Learner,
    received: Received,
    private: Arrays | None,
    progress: StepProgress,
) -> Trained:
    work, train = manifest.strategy.work, manifest.strategy.train
    amount = work.amount(manifest.addresses.index(update_id.client))
    assignment = Assignment(
        model=model_of(received.state),
        private=_kept(TRAINING, private),
        seed=derive_seed(manifest.seed, "train", update_id.round, update_id.client),
        steps=amount if work.steps is not None else learner.steps_for(amount),
        round=update_id.round,
        opponents=_opponents(manifest, update_id, received.published),
        fresh=manifest.learner.optimiser_state == "fresh",
    )
    if work.until == "median_loss":
        median = median_loss(received.past, "training")
        learner = UntilMedian(learner, median and median / MILLIONTHS, work.loss)
    context = Context(received.past, slot_of(received.state, "control"), progress)
    return TRAIN[type(train)].run(train, learner, assignment, context)


def _leaving(
    roles: Roles, policy: Policy, trained: Trained, model: Arrays
) -> tuple[Arrays, Arrays, Arrays]:
    """The difference of the weights and that of the statistics, and what is sent beside them, clipped together."""
    moved = difference(trained.shared, model)
    weights, statistics = roles.only("weight", moved), roles.only("statistic", moved)
    _verify_finite({**weights, **statistics, **trained.sent})
    clipped = policy.clipped({**weights, **statistics, **trained.sent})
    return (
        {name: clipped[name] for name in weights},
        {name: clipped[name] for name in statistics},
        {name: clipped[name] for name in trained.sent},
    )


def _opponents(manifest: Manifest, update_id: UpdateId, published: Published) -> tuple[Arrays, ...]:
    chosen = draw_opponents(manifest, update_id.round, update_id.client, published)
    return tuple(published[other] for other in chosen)


def _last_move(roles: Roles, received: Received) -> dict[str, Array] | None:
    """How the last round with updates moved the weights."""
    if received.previous is None:
        return None
    return roles.only("weight", difference(model_of(received.state), received.previous))


def _header(
    manifest: Manifest, update_id: UpdateId, trained: Trained, measured: Measured
) -> UpdateHeader:
    learner = manifest.learner
    return UpdateHeader(
        task=update_id.task,
        round=update_id.round,
        client=update_id.client,
        parent_digest=update_id.parent_digest,
        num_examples=trained.num_examples,
        steps=trained.steps,
        codec=manifest.strategy.encode.label,
        seed=encoding_seed(manifest.seed, update_id.round, update_id.client),
        metrics=metrics_of(learner.metrics, {**trained.metrics, **measured.metrics}),
        versions={
            name: _version(name, trained.versions.get(name, "")) for name in learner.required
        },
    )


def _version(name: str, version: str) -> str:
    if not VERSION.fullmatch(version):
        raise TrainingFailed(
            f"the version of {name} must be 1 to 64 printable ASCII characters, not {shown(version, 64)!r}"
        )
    return version


def _kept(prefix: str, private: Arrays | None) -> Arrays | None:
    return None if private is None else unprefixed(prefix, private)


def _verify_finite(arrays: Arrays) -> None:
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise TrainingDiverged(f"{name!r} has moved further than an update can say")


def _millionths(which: str, loss: float) -> int:
    if not abs(loss) <= MAX_LOSS:  # written so that it catches NaN too
        raise TrainingDiverged(f"the {which} loss is {loss}; at most {MAX_LOSS} can be revealed")
    return round(loss * MILLIONTHS)
