"""FedProx and the two-stream pull: closed forms, nothing where the weight is 0, and the steering of mu."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from doubles import refusal
from hypothesis import given
from hypothesis import strategies as st
from quadratic import QuadraticLearner, equal, federate, optimum, point, train_once

from chain.types import Reveal
from fl_node.fields import Choice
from fl_node.history.past import PastRound
from fl_node.learner import Assignment
from fl_node.strategy.train import AdaptiveProximal, Plain, Proximal, TwoStream
from fl_node.strategy.train.proximal import adapted_mu

LEARNER = QuadraticLearner(centre=(1.0, -2.0), curvature=(0.5, 2.0), noise=0.3)
ASSIGNMENT = Assignment(point(3.0, 3.0), None, seed=9, steps=7)


@pytest.mark.parametrize(
    "choice", [Proximal(mu="0"), AdaptiveProximal(start="0"), TwoStream(weight="0")], ids=repr
)
def test_no_weight_is_fedavg_bit_for_bit(choice: Choice) -> None:
    assert equal(train_once(choice, LEARNER, ASSIGNMENT), train_once(Plain(), LEARNER, ASSIGNMENT))


def test_plain_training_is_the_learners_own() -> None:
    assert equal(train_once(Plain(), LEARNER, ASSIGNMENT), LEARNER.train(ASSIGNMENT))


def test_many_proximal_steps_reach_the_minimum_of_loss_and_pull() -> None:
    learner = QuadraticLearner(centre=(4.0,), curvature=(0.5,))

    trained = train_once(Proximal(mu="1.5"), learner, Assignment(point(0.0), None, 0, steps=500))

    # a (w - b) + mu (w - w_t) = 0  at  w = (a b + mu w_t) / (a + mu)
    assert trained.shared["w"] == pytest.approx(0.5 * 4.0 / (0.5 + 1.5))


def test_the_pull_is_towards_the_anchor_where_the_model_has_moved_on() -> None:
    learner = QuadraticLearner(centre=(4.0,), curvature=(0.5,))
    assignment = Assignment(point(2.0), None, 0, steps=500, anchor=point(-4.0))

    trained = train_once(Proximal(mu="0.5"), learner, assignment)

    assert trained.shared["w"] == pytest.approx(0.0, abs=1e-6)


@given(st.decimals(0, 4, places=3), st.decimals(0, 4, places=3))
def test_more_mu_drifts_less(one: Decimal, other: Decimal) -> None:
    drifts = [
        np.abs(train_once(Proximal(mu=mu), LEARNER, ASSIGNMENT).shared["w"] - ASSIGNMENT.model["w"])
        for mu in sorted([one, other])
    ]
    assert np.all(drifts[1] <= drifts[0] + 1e-6)


def test_fedprox_rests_nearer_to_the_optimum_than_fedavg_where_members_differ() -> None:
    members = [QuadraticLearner((0.0,), (5.0,)), QuadraticLearner((1.0,), (0.5,))]

    distances = [
        abs(federate(choice, members, rounds=600, steps=10)["w"] - optimum(members))
        for choice in (Plain(), Proximal(mu="4"))
    ]

    assert distances[1] < distances[0] / 2


def test_two_streams_pull_at_the_features() -> None:
    learner = QuadraticLearner(centre=(4.0,), curvature=(0.5,))

    trained = train_once(TwoStream(weight="0.75"), learner, Assignment(point(0.0), None, 0, 500))

    assert trained.shared["w"] == pytest.approx(0.5 * 4.0 / (0.5 + 2 * 0.75))


@pytest.mark.parametrize(
    ("losses", "mu"),
    [
        ([], "0.5"),
        ([3.0], "0.5"),
        ([3.0, 4.0], "0.6"),
        ([3.0, 4.0, 5.0], "0.7"),
        ([9.0, 8.0, 7.0], "0.5"),
        ([9.0, 8.0, 7.0, 6.0], "0.4"),
        ([9.0, 8.0, 7.0, 6.0, 5.0, 4.0], "0.4"),
        ([9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0], "0.3"),
        ([9.0, 8.0, 7.0, 7.0, 6.0, 5.0], "0.5"),
        ([9.0, 8.0, 7.0, 8.0, 7.0, 6.0], "0.6"),
    ],
)
def test_mu_rises_with_the_loss_and_falls_after_three_falls_running(
    losses: list[float], mu: str
) -> None:
    choice = AdaptiveProximal(start="0.5", step="0.1", patience=3)

    assert adapted_mu(choice, losses) == Decimal(mu)


@given(
    st.lists(st.floats(0, 10)),
    st.decimals(0, 1, places=2),
    st.decimals("0.01", 1, places=2),
    st.integers(1, 4),
)
def test_mu_stays_between_0_and_1(
    losses: list[float], start: Decimal, step: Decimal, patience: int
) -> None:
    choice = AdaptiveProximal(start=start, step=step, patience=patience)

    assert 0 <= adapted_mu(choice, losses) <= 1


def past_of(*losses: int) -> list[PastRound]:
    return [
        PastRound(bytes(32), (Reveal(bytes(32), 10, -loss, loss, bytes(32)),)) for loss in losses
    ]


@pytest.mark.parametrize(("loss", "mu"), [("held_out", "0.2"), ("training", "0")])
def test_the_recorded_loss_that_was_chosen_steers(loss: str, mu: str) -> None:
    past = past_of(100, 200, 300)

    adaptive = train_once(AdaptiveProximal(loss=loss), LEARNER, ASSIGNMENT, past)

    assert equal(adaptive, train_once(Proximal(mu=mu), LEARNER, ASSIGNMENT))


def test_a_gans_training_loss_cannot_steer() -> None:
    steered_by = {"kind": "adaptive_proximal", "loss": "training"}

    assert "use loss = held_out" in refusal({"train": steered_by})
    assert not refusal({"train": "adaptive_proximal"})
