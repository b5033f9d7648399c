"""Models in any dtype: floating point is learnt in its own precision, and everything else stays what it was."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from doubles import DriftingLearner, small_manifest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from quadratic import same_bits

from chain.types import Reveal, UpdateRevealed
from fl_node.arrays import Arrays, floating
from fl_node.blobs.digest import digest_of
from fl_node.blobs.encoding import decode_update
from fl_node.blobs.global_state import first_state, model_of
from fl_node.blobs.model import Model, decode_model, encode_model
from fl_node.blobs.store import open_store
from fl_node.blobs.tensors import schema_of
from fl_node.errors import ManifestInvalid, TrainingDiverged
from fl_node.learner import Assignment, StepProgress, Trained, no_progress
from fl_node.manifest.manifest import Manifest, build_manifest
from fl_node.round.aggregate import Aggregated, aggregate_round
from fl_node.round.contribute import Contribution, Received, UpdateId, contribute
from fl_node.strategy.combine import COMBINE
from fl_node.strategy.encode import STAGES

WEIGHTS: Arrays = {
    "half": np.linspace(-1, 1, 12, dtype=np.float16).reshape(6, 2),
    "single": np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 6),
    "double": np.full(9, 1 / 3),
    "scale": np.array(2.0, np.float16),
}
CONSTANTS: Arrays = {
    "norm.num_batches_tracked": np.array(7, np.int64),
    "positions": np.arange(5, dtype=np.int32),
    "mask": np.array([0, 255], np.uint8),
    "largest": np.array([-(2**63), 2**63 - 1], np.int64),
}
MODEL = {**WEIGHTS, **CONSTANTS}


class Counting(DriftingLearner):
    """A learner whose training also changes every constant, as a batch norm counts its batches."""

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        drifted = super().train(replace(assignment, model=floating(assignment.model)), progress)
        counted = {name: np.invert(array) for name, array in CONSTANTS.items()}
        return replace(drifted, shared={**drifted.shared, **counted})


MEMBERS = tuple(f"0x{number:040x}" for number in range(1, 6))


def manifests() -> dict[str, Manifest]:
    """Every rule and training algorithm with every codec, as far as they go together."""
    possible: dict[str, Manifest] = {}
    for (rule, codec), train in product(product(COMBINE, (None, *STAGES)), ("plain", "scaffold")):
        encode = [] if codec is None else [{"kind": codec.name()}]
        if codec is not None and codec.name() == "subsample":
            encode[0]["one_in"] = 2
        values = {
            "name": "dtypes",
            "seed": 3,
            "members": list(MEMBERS),
            "strategy": {"combine": rule.name(), "encode": encode, "train": train},
            "rounds": {"count": 1, "min_updates": 5, "cohort_floor": 5},
            "limits": {"update_norm": 10**9},
        }
        try:
            possible[f"{rule.name()} {encode} {train}"] = build_manifest(values)
        except ManifestInvalid:
            continue
    return possible


MANIFESTS = manifests()


def state_of(manifest: Manifest) -> Arrays:
    return first_state(MODEL, manifest.strategy.slots, manifest.roles.only("weight", MODEL))


def trained(manifest: Manifest, member: int, state: Arrays, parent: bytes) -> Contribution:
    place = UpdateId(1, 1, manifest.addresses[member], parent)
    return contribute(manifest, place, Counting(1 + member), Received(state), None)


def one_round(manifest: Manifest) -> tuple[Arrays, Aggregated]:
    """The state before, and what five members that also change the constants make of it."""
    state = state_of(manifest)
    parent = digest_of(encode_model(state))
    with TemporaryDirectory() as folder:
        store = open_store(Path(folder))
        reveals = []
        for member, address in enumerate(manifest.addresses):
            made = trained(manifest, member, state, parent)
            assert made.blob is not None
            opening = Reveal(store.put(made.blob), made.num_examples, 0, 0, bytes(32))
            reveals.append(UpdateRevealed(1, 1, address, opening))
        return state, aggregate_round(store, manifest, Model(parent, state), reveals)


def test_the_table_has_every_rule_every_codec_and_both_ways_of_training():
    found = " ".join(MANIFESTS)
    assert all(kind.name() in found for kind in (*COMBINE, *STAGES))
    assert "scaffold" in found
    assert len(MANIFESTS) > 40


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(MANIFESTS)), st.integers(0, 2**63 - 1))
def test_weights_of_every_dtype_are_learnt_and_constants_stay(label, seed):
    manifest = MANIFESTS[label].model_copy(update={"seed": seed})
    before, aggregated = one_round(manifest)
    assert (aggregated.included, aggregated.left_out) == (0b11111, {})
    after = decode_model(aggregated.blob)
    assert schema_of(after) == schema_of(before)
    assert same_bits({name: after[name] for name in CONSTANTS}, CONSTANTS)
    assert all(np.isfinite(array).all() for array in floating(after).values())
    assert any(after[name].tobytes() != MODEL[name].tobytes() for name in WEIGHTS)


def test_an_update_carries_no_constant():
    manifest = small_manifest()
    made = trained(manifest, 0, MODEL, bytes(32))
    assert made.blob is not None
    arrays = decode_update(made.blob).arrays
    assert arrays.keys() == WEIGHTS.keys()
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float32)}


def test_a_member_that_changes_a_constant_sends_the_same_update():
    class Careful(Counting):
        def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
            drifted = super().train(assignment, progress)
            return replace(drifted, shared={**drifted.shared, **CONSTANTS})

    manifest = small_manifest()
    place = UpdateId(1, 1, manifest.addresses[0], bytes(32))
    made = [
        contribute(manifest, place, learner, Received(MODEL), None)
        for learner in (Careful(1), Counting(1))
    ]
    assert made[0].blob == made[1].blob


@pytest.mark.parametrize("reached", [1e39, -1e300])
def test_a_weight_that_moves_beyond_float32_is_a_divergence(reached):
    class Exploding(Counting):
        def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
            drifted = super().train(assignment, progress)
            return replace(drifted, shared={**drifted.shared, "double": np.full(9, reached)})

    manifest = small_manifest()
    place = UpdateId(1, 1, manifest.addresses[0], bytes(32))
    with pytest.raises(TrainingDiverged, match="'double' has moved further"):
        contribute(manifest, place, Exploding(1), Received(MODEL), None)


def test_the_servers_state_is_no_part_of_a_model():
    """Patterns that match everything, as a manifest's own roles may be, do not reach what a rule keeps."""
    manifest = MANIFESTS["momentum [] plain"]
    greedy = manifest.roles.model_copy(
        update={"at_least_zero": ("*",), "statistics": ("server.*",)}
    )
    first, second = (
        one_round(manifest.model_copy(update={"roles": roles}))[1]
        for roles in (manifest.roles, greedy)
    )
    assert first.blob == second.blob
    assert model_of(state_of(manifest)).keys() == MODEL.keys()
