"""SCAFFOLD: its variates, where it comes to rest, and where it makes no sense."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from doubles import refusal
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from quadratic import QuadraticLearner, equal, federate, optimum, point, same_bits, train_once

from fl_node.arrays import Arrays
from fl_node.errors import Misuse
from fl_node.learner import Assignment, StepProgress, Trained, no_progress
from fl_node.strategy.train import Plain, Scaffold
from fl_node.strategy.train.scaffold import advance_control

DIFFERENT = [
    QuadraticLearner(centre=(0.0, 3.0), curvature=(5.0, 1.0)),
    QuadraticLearner(centre=(1.0, -1.0), curvature=(0.5, 2.0)),
    QuadraticLearner(centre=(4.0, 0.0), curvature=(1.0, 0.25)),
]

control = arrays(np.float32, 4, elements=st.floats(-100, 100, width=32))


def test_it_rests_at_the_optimum_where_fedavg_with_many_steps_does_not() -> None:
    best = optimum(DIFFERENT)

    scaffold = federate(Scaffold(), DIFFERENT, rounds=300, steps=10)["w"]
    fedavg = federate(Plain(), DIFFERENT, rounds=300, steps=10)["w"]

    assert scaffold == pytest.approx(best, abs=1e-4)
    assert np.all(np.abs(fedavg - best) > 0.1)


def test_it_rests_at_the_optimum_when_two_of_three_take_part_in_turns() -> None:
    scaffold = federate(Scaffold(), DIFFERENT, rounds=900, steps=5, cohort=2)["w"]

    assert scaffold == pytest.approx(optimum(DIFFERENT), abs=1e-3)


def test_the_first_round_is_fedavg() -> None:
    learner, assignment = DIFFERENT[0], Assignment(point(3.0, 3.0), None, seed=1, steps=4)

    trained = train_once(Scaffold(), learner, assignment, server=point(0.0, 0.0))

    assert equal(
        replace(trained, private={}, sent={}, mean_gradient=None),
        replace(train_once(Plain(), learner, assignment), private={}),
    )


@given(control, control, st.integers(1, 20))
def test_the_new_variate_is_the_papers_option_two(c: Any, c_i: Any, steps: int) -> None:
    learner = QuadraticLearner((1.0, 2.0, 3.0, 4.0), (0.5, 1.0, 2.0, 3.0), rate=0.1, noise=1.0)
    model = point(0.0, 1.0, -1.0, 2.0)
    private = {"steps": np.array([0]), "control.w": c_i}

    trained = train_once(
        Scaffold(), learner, Assignment(model, private, seed=3, steps=steps), server={"w": c}
    )

    moved = (model["w"].astype(np.float64) - trained.shared["w"]) / (steps * learner.rate)
    option_two = c_i.astype(np.float64) - c + moved
    np.testing.assert_allclose(trained.private["control.w"], option_two, rtol=1e-3, atol=5e-3)


@given(control, control)
def test_what_is_sent_is_the_change_of_what_is_kept(c: Any, c_i: Any) -> None:
    learner = QuadraticLearner((1.0, 2.0, 3.0, 4.0), (1.0, 1.0, 1.0, 1.0))
    private = {"steps": np.array([5]), "control.w": c_i}
    assignment = Assignment(point(0, 0, 0, 0), private, seed=3, steps=2)

    trained = train_once(Scaffold(), learner, assignment, server={"w": c})

    assert trained.sent.keys() == {"control.w"}
    assert trained.sent["control.w"].dtype == np.float32
    assert trained.sent["control.w"].tobytes() == (trained.private["control.w"] - c_i).tobytes()
    assert trained.private["steps"] == 7


class Ungraded(QuadraticLearner):
    """Returns no mean gradient."""

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        return replace(super().train(assignment, progress), mean_gradient=None)


def test_a_learner_without_a_mean_gradient_is_refused() -> None:
    with pytest.raises(Misuse, match="mean gradient"):
        train_once(
            Scaffold(),
            Ungraded((0.0,), (1.0,)),
            Assignment(point(1.0), None, 0, 1),
            server=point(0.0),
        )


def test_the_control_moves_by_the_members_share_of_all() -> None:
    moved = advance_control(point(1.0), [point(3.0), point(5.0)], members=4)

    assert moved["w"] == np.float32(3.0)
    assert moved["w"].dtype == np.float32


def test_without_changes_the_control_stays_byte_for_byte() -> None:
    assert same_bits(advance_control(point(1.5, -0.0), [], members=3), point(1.5, -0.0))


def test_no_change_makes_the_control_infinite() -> None:
    most = float(np.finfo(np.float32).max)

    moved = advance_control(point(most, -most), [point(most, -most)] * 2, members=1)

    assert moved["w"].tolist() == [most, -most]


@given(control, st.lists(control, max_size=4), st.integers(1, 9))
def test_the_control_is_rounded_once(start: Any, changes: list[Any], members: int) -> None:
    moved = advance_control({"w": start}, [{"w": change} for change in changes], members)["w"]

    exact = [
        float(begin) + math.fsum(float(change[index]) for change in changes) / members
        for index, begin in enumerate(start)
    ]
    np.testing.assert_array_max_ulp(moved, np.array(exact, np.float32), maxulp=1)


@given(st.lists(control, min_size=1, max_size=3))
def test_the_control_is_the_mean_of_the_members_variates(variates: list[Any]) -> None:
    zeros: Arrays = {"w": np.zeros(4, np.float32)}

    moved = advance_control(zeros, [{"w": one} for one in variates], len(variates))["w"]

    np.testing.assert_allclose(moved, np.mean(np.float64(variates), axis=0), rtol=1e-6, atol=1e-6)


def test_a_scalar_tensor_keeps_its_shape() -> None:
    scalar = {"w": np.array(2.0, np.float32)}

    assert advance_control(scalar, [scalar], 1)["w"].shape == ()


@pytest.mark.parametrize(
    ("choices", "reason"),
    [
        ({"share": ["generator*"]}, "never averaged"),
        ({"combine": "median"}, "median cannot prevent it"),
        ({"combine": "trimmed_mean"}, "trimmed_mean cannot prevent it"),
        ({"combine": "krum"}, "krum cannot prevent it"),
        ({"send": "relevance"}, "does not send its change"),
    ],
    ids=str,
)
def test_it_objects_where_variates_do_not_reach_everyone(
    choices: dict[str, Any], reason: str
) -> None:
    assert reason in refusal({"train": "scaffold", **choices}, updates=5)


@pytest.mark.parametrize("combine", ["weighted_mean", "fednova", "adam"])
def test_it_does_not_object_to_rules_that_count_everyone(combine: str) -> None:
    assert not refusal({"train": "scaffold", "combine": combine})
