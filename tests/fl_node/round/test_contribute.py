"""A member's work in a round: what it sends is bound to its place, and fits into a reveal."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np
import pytest
from doubles import STATING, DriftingLearner, StatingLearner, small_genesis, small_manifest

from chain.history import commitment_of
from chain.types import Reveal
from fl_node.arrays import unprefixed
from fl_node.blobs.encoding import UpdateHeader, decode_update, difference, encoding_seed
from fl_node.blobs.global_state import first_state
from fl_node.errors import TrainingDiverged, TrainingFailed
from fl_node.learner import Assignment, Measured, Trained, no_progress
from fl_node.manifest.manifest import Manifest
from fl_node.round.contribute import MAX_LOSS, Contribution, Received, UpdateId, contribute
from fl_node.seeds import derive_seed

MANIFEST = small_manifest()
CLIENT = MANIFEST.addresses[1]
PLACE = UpdateId(task=3, round=2, client=CLIENT, parent_digest=bytes([7]) * 32)


@dataclass
class Losing:
    """A learner whose losses are as given."""

    training_loss: float = 0.0
    held_out_loss: float = 0.0

    def steps_for(self, epochs) -> int:
        return epochs

    def train(self, *arguments) -> Trained:
        return replace(DriftingLearner(1).train(*arguments), training_loss=self.training_loss)

    def measure(self, model, private, training=False) -> Measured:
        return Measured(self.held_out_loss)


def test_an_update_is_the_difference_that_training_made_at_its_place():
    contribution = contribute(MANIFEST, PLACE, DriftingLearner(4), Received(small_genesis()), None)
    update = decode_update(contribution.blob)
    assert update.header == UpdateHeader(
        3, 2, CLIENT, bytes([7]) * 32, 40, 4, "float32", encoding_seed(MANIFEST.seed, 2, CLIENT)
    )
    seed = derive_seed(MANIFEST.seed, "train", 2, CLIENT)
    trained = DriftingLearner(4).train(Assignment(small_genesis(), None, seed, 4)).shared
    for name, array in difference(trained, small_genesis()).items():
        assert np.array_equal(update.arrays[name], array)


def test_training_is_told_the_round():
    asked = []

    class Asked(DriftingLearner):
        def train(self, assignment, progress=no_progress) -> Trained:
            asked.append(assignment.round)
            return super().train(assignment, progress)

    contribute(MANIFEST, PLACE, Asked(1), Received(small_genesis()), None)
    assert asked == [PLACE.round]


def test_what_the_member_kept_goes_back_into_training():
    first = contribute(MANIFEST, PLACE, DriftingLearner(4), Received(small_genesis()), None)
    second = contribute(
        MANIFEST, PLACE, DriftingLearner(4), Received(small_genesis()), first.private
    )
    assert second.private["training.rounds"].tolist() == [2]


class Optimising(DriftingLearner):
    """Returns an optimiser's state, and notes whether it was told to start one anew."""

    def train(self, assignment, progress=no_progress) -> Trained:
        trained = super().train(replace(assignment, private=None), progress)
        private = {"optimiser.step.w": np.ones(1), "fresh": np.array([assignment.fresh])}
        return replace(trained, private={**trained.private, **private})


@pytest.mark.parametrize("strategy", ["fedavg", "ditto", "loadaboost"])
@pytest.mark.parametrize(("state", "names"), [("kept", {"optimiser"}), ("fresh", set())])
def test_the_optimisers_state_is_kept_only_if_the_manifest_says_so(strategy, state, names):
    manifest = small_manifest(strategy=strategy, learner={"optimiser_state": state})
    private = contribute(manifest, PLACE, Optimising(4), Received(small_genesis()), None).private
    assert private["training.fresh"].tolist() == [state == "fresh"]
    assert {part for name in private for part in name.split(".")} & {"optimiser"} == names


@pytest.mark.parametrize(
    ("loss", "millionths"), [(1.5, 1_500_000), (-0.0000014, -1), (0.0000005, 0), (1e-9, 0)]
)
def test_losses_are_millionths_rounded_to_the_nearest(loss, millionths):
    contribution = contribute(MANIFEST, PLACE, Losing(loss, loss), Received(small_genesis()), None)
    assert (contribution.training_loss, contribution.held_out_loss) == (millionths, millionths)


@pytest.mark.parametrize("loss", [MAX_LOSS, -MAX_LOSS])
def test_the_largest_losses_can_be_committed_to(loss):
    contribution = contribute(MANIFEST, PLACE, Losing(loss, loss), Received(small_genesis()), None)
    losses = (contribution.training_loss, contribution.held_out_loss)
    assert commitment_of(1, CLIENT, 1, 1, CLIENT, Reveal(bytes(32), 1, *losses, bytes(32)))


@pytest.mark.parametrize("which", ["training", "held-out"])
@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -1e13, 1e30])
def test_losses_that_no_reveal_can_hold_are_a_divergence(which, loss):
    learner = Losing(**{f"{which.replace('-', '_')}_loss": loss})
    with pytest.raises(TrainingDiverged, match=f"the {which} loss is"):
        contribute(MANIFEST, PLACE, learner, Received(small_genesis()), None)


def stated(learner: StatingLearner) -> UpdateHeader:
    manifest = small_manifest(learner=STATING)
    contribution = contribute(manifest, PLACE, learner, Received(small_genesis()), None)
    return decode_update(contribution.blob).header


def test_an_update_states_what_the_manifest_names_and_nothing_else():
    header = stated(
        StatingLearner(4, in_training={"auc": 0.25, "loss": 9}, held_out={"accuracy": 2 / 3})
    )
    assert header.metrics == {
        "accuracy": Decimal("0.666666667"),
        "auc": Decimal("0.25"),
        "kid": None,
    }
    assert header.versions == {"scikit-learn": "1.9", "torch": "2.15.0"}


def test_of_two_numbers_with_one_name_the_one_on_held_out_data_counts():
    assert (
        stated(StatingLearner(4, in_training={"auc": 1}, held_out={"auc": 2})).metrics["auc"] == 2
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -1e9])
def test_a_number_that_is_no_metric_is_null(value):
    assert stated(StatingLearner(4, held_out={"auc": value})).metrics["auc"] is None


@pytest.mark.parametrize("version", [None, "", "2" * 65, "2\n", "2\x1b[2J", "zwei²"])
def test_a_version_that_cannot_be_stated_costs_the_round(version):
    versions = {"torch": "2"} | ({} if version is None else {"scikit-learn": version})
    with pytest.raises(
        TrainingFailed, match=r"^the version of scikit-learn must be 1 to 64 printable"
    ):
        stated(StatingLearner(4, versions=versions))


NORMED = {
    "generator.norm.running_var": np.ones(3, np.float32),
    "generator.weight": np.zeros((4, 4), np.float32),
    "generator_ema.norm.running_var": np.ones(3, np.float32),
    "generator_ema.weight": np.zeros((4, 4), np.float32),
}


def normed(**strategy: object) -> Manifest:
    rounds = {"count": 2, "min_updates": 1}
    learner = {"kind": "gan", "norm": "batch"}
    return small_manifest(learner=learner, strategy=strategy, rounds=rounds)


def first_update(manifest: Manifest) -> Contribution:
    state = first_state(NORMED, manifest.strategy.slots, manifest.roles.only("weight", NORMED))
    return contribute(manifest, PLACE, DriftingLearner(4), Received(state), None)


def test_codecs_see_the_weights_statistics_travel_as_they_are_and_averages_stay_at_home():
    plain = decode_update(first_update(normed()).blob).arrays
    assert plain.keys() == {"generator.norm.running_var", "generator.weight"}
    coded = decode_update(first_update(normed(encode="quantise")).blob).arrays
    assert coded["generator.norm.running_var"].tolist() == (
        plain["generator.norm.running_var"].tolist()
    )
    assert coded["generator.weight"].dtype == np.uint8


def test_error_feedback_is_of_the_weights():
    encode = {"stages": ["top_k"], "feedback": 1}
    kept = unprefixed("sending.", first_update(normed(encode=encode)).private)
    assert kept.keys() == {"residual.generator.weight"}


def test_variates_are_of_the_weights():
    contribution = first_update(normed(train="scaffold"))
    sent = decode_update(contribution.blob).arrays
    assert {name for name in sent if name.startswith("control.")} == {"control.generator.weight"}
    kept = unprefixed("training.control.", contribution.private)
    assert kept.keys() == {"generator.weight"}


@pytest.mark.parametrize("moved", ["generator.norm.running_var", "generator_ema.weight"])
def test_relevance_is_of_the_weights(moved):
    """Where only a statistic or an average has moved there is no direction to compare with, so everything is sent."""
    manifest = normed(send={"kind": "relevance", "threshold": 1})
    previous = {**NORMED, moved: NORMED[moved] - 1}
    received = Received(NORMED, previous)
    assert contribute(manifest, PLACE, DriftingLearner(4), received, None).blob is not None
