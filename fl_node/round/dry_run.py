"""A round without consequences: train, and look at what would leave before anything does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from chain.types import Reveal, UpdateRevealed
from fl_node.arrays import Arrays
from fl_node.blobs.digest import digest_of
from fl_node.blobs.encoding import EncodedUpdate, decode_update
from fl_node.blobs.metrics import Metrics
from fl_node.errors import BadData, PolicyForbids
from fl_node.learner import Learner, StepProgress, no_progress
from fl_node.manifest.manifest import Manifest
from fl_node.round.contribute import Contribution, Received, UpdateId, contribute
from fl_node.round.form import Form, update_form
from fl_node.round.policy import OPEN, Policy
from fl_node.round.validity import norm, verify_update
from fl_node.round.verdicts import expected_header


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a member would send in a round.

    Attributes:
        num_examples: > 0.
        training_loss, held_out_loss: In millionths.
        blob_bytes: Size of the update's blob; None if the strategy finds it not worth sending, and then the attributes
            below are empty, too.
        norm: The Euclidean norm that the limits bound, of the update as everybody decodes it.
        steps: Optimiser steps.
        metrics, versions: What the update states.
        objections: Why it would not count, in a line each: the policy keeps it back, or others leave it out.
    """

    num_examples: int
    training_loss: int
    held_out_loss: int
    blob_bytes: int | None = None
    norm: float | None = None
    steps: int | None = None
    metrics: Metrics | None = None
    versions: Mapping[str, str] | None = None
    objections: tuple[str, ...] = ()


def dry_run(
    manifest: Manifest,
    update_id: UpdateId,
    learner: Learner,
    received: Received,
    private: Arrays | None,
    progress: StepProgress = no_progress,
    policy: Policy = OPEN,
) -> DryRun:
    """Do what `contribute` does, and look at the result as the others would. Arguments as there.

    Raises:
        TrainingDiverged, TrainingFailed: As `contribute`.
    """
    # What the policy keeps back is an objection here, beside the figures that explain it.
    clipping = replace(policy, most_examples=None, most_bytes=None)
    made = contribute(manifest, update_id, learner, received, private, progress, clipping)
    run = DryRun(made.num_examples, made.training_loss, made.held_out_loss)
    if made.blob is None:
        return replace(run, objections=tuple(_kept_back(policy, made.num_examples, 0)))
    sent, form = decode_update(made.blob), update_form(manifest, received.state)
    return replace(
        run,
        blob_bytes=len(made.blob),
        norm=norm_of(manifest, form, sent),
        steps=sent.header.steps,
        metrics=sent.header.metrics,
        versions=sent.header.versions,
        objections=(
            *_kept_back(policy, made.num_examples, len(made.blob)),
            *_left_out(manifest, update_id, form, made),
        ),
    )


def norm_of(manifest: Manifest, form: Form, sent: EncodedUpdate) -> float:
    """The Euclidean norm that the limits bound, of an update as everybody decodes it.

    Args:
        manifest: The task.
        form: Of its updates.
        sent: An update of this form.
    """
    decoded = form.decode(manifest.strategy.encode.stages, sent.arrays, sent.header.seed)
    return norm({name: array for name, array in decoded.items() if name not in form.published})


def _kept_back(policy: Policy, num_examples: int, blob_bytes: int) -> Iterator[str]:
    for verify, number in (
        (policy.verify_examples, num_examples),
        (policy.verify_size, blob_bytes),
    ):
        try:
            verify(number)
        except PolicyForbids as reason:
            yield str(reason)


def _left_out(
    manifest: Manifest, update_id: UpdateId, form: Form, made: Contribution
) -> Iterator[str]:
    """Why every other member would leave the update out, if it would."""
    assert made.blob is not None
    losses = (made.training_loss, made.held_out_loss)
    opening = Reveal(digest_of(made.blob), made.num_examples, *losses, bytes(32))
    revealed = UpdateRevealed(update_id.task, update_id.round, update_id.client, opening)
    header = expected_header(manifest, update_id.parent_digest, revealed)
    try:
        verify_update(
            decode_update(made.blob), header, manifest.strategy.encode, form, manifest.limits
        )
    except BadData as fault:
        yield f"the others would leave it out: {fault}"
