"""A dry run shows what would leave, as the others would see it."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from doubles import STATING, StatingLearner, small_genesis, small_manifest

from fl_node.blobs.encoding import decode_update
from fl_node.manifest.manifest import Manifest
from fl_node.round.contribute import Received, UpdateId, contribute
from fl_node.round.dry_run import DryRun, dry_run
from fl_node.round.policy import OPEN, Policy
from fl_node.round.validity import norm

LEARNER = StatingLearner(4, held_out={"auc": 0.5})


def place(manifest: Manifest) -> UpdateId:
    return UpdateId(1, 1, manifest.addresses[0], bytes(32))


def tried(manifest: Manifest, policy: Policy = OPEN, received: Received | None = None) -> DryRun:
    received = received or Received(small_genesis())
    return dry_run(
        manifest,
        place(manifest),
        StatingLearner(4, held_out={"auc": 0.5}),
        received,
        None,
        policy=policy,
    )


def test_it_shows_the_update_that_would_be_sent():
    manifest = small_manifest(learner=STATING)
    made = contribute(
        manifest,
        place(manifest),
        StatingLearner(4, held_out={"auc": 0.5}),
        Received(small_genesis()),
        None,
    )
    update = decode_update(made.blob)
    assert tried(manifest) == DryRun(
        num_examples=40,
        training_loss=1_000_000,
        held_out_loss=2_000_000,
        blob_bytes=len(made.blob),
        norm=norm(update.arrays),
        steps=4,
        metrics={"accuracy": None, "auc": Decimal("0.5"), "kid": None},
        versions={"scikit-learn": "1.9", "torch": "2.15.0"},
        objections=(),
    )


def test_the_norm_is_that_of_what_everybody_decodes():
    manifest = small_manifest(strategy={"encode": {"stages": ["top_k"], "feedback": 1}})
    assert tried(manifest).norm < tried(small_manifest()).norm


@pytest.mark.parametrize(
    ("limits", "rule"),
    [
        ({"update_norm": "0.001"}, "norm_limit"),
        ({"examples": 39}, "examples_limit"),
        ({"steps": 3}, "steps_limit"),
    ],
)
def test_it_says_why_the_others_would_leave_the_update_out(limits, rule):
    (objection,) = tried(small_manifest(limits=limits)).objections
    assert objection.startswith(f"the others would leave it out: {rule}: expected")


def test_it_says_what_the_policy_keeps_back_beside_the_figures():
    run = tried(small_manifest(), Policy(most_examples=1, most_bytes=2))
    assert run.num_examples == 40
    assert [line.split(";")[1] for line in run.objections] == [
        " the node's policy allows 1",
        " the node's policy allows 2",
    ]


def test_it_clips_as_the_policy_says():
    assert tried(small_manifest(), Policy(clip=Decimal("0.5"))).norm == pytest.approx(0.5, rel=1e-6)


def test_an_update_that_is_not_worth_sending_has_no_figures():
    rounds = {"count": 2, "min_updates": 1}
    manifest = small_manifest(
        strategy={"send": {"kind": "relevance", "threshold": 1}}, rounds=rounds
    )
    previous = {name: array - np.float32(1) for name, array in small_genesis().items()}
    run = tried(manifest, received=Received(small_genesis(), previous))
    assert (run.blob_bytes, run.norm, run.metrics, run.objections) == (None, None, None, ())
