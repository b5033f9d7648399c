"""SCAFFOLD: its variates, where it comes to rest, and where it makes no sense."""

from __future__ import annotations

import math
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from codec_samples import chains, seeds
from doubles import refusal
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from quadratic import QuadraticLearner, equal, federate, optimum, point, same_bits, train_once

from fl_node.arrays import Arrays
from fl_node.errors import Misuse
from fl_node.fields import Choice
from fl_node.learner import Assignment, StepProgress, Trained, no_progress
from fl_node.strategy.encode import chain_variance
from fl_node.strategy.encode.feedback import encode_with_feedback
from fl_node.strategy.encode.low_rank import LowRank
from fl_node.strategy.encode.quantise import Quantise
from fl_node.strategy.encode.rotate import Rotate
from fl_node.strategy.encode.subsample import Subsample
from fl_node.strategy.encode.top_k import TopK
from fl_node.strategy.strategy import Encode
from fl_node.strategy.train import Plain, Scaffold, keep_pace
from fl_node.strategy.train.scaffold import advance_control, largest_step

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
    kept = keep_pace(Scaffold(), trained.private, trained.sent)
    np.testing.assert_allclose(kept["control.w"], option_two, rtol=1e-3, atol=5e-3)


@given(control, control)
def test_what_is_sent_is_the_change_towards_the_new_variate(c: Any, c_i: Any) -> None:
    learner = QuadraticLearner((1.0, 2.0, 3.0, 4.0), (1.0, 1.0, 1.0, 1.0))
    private = {"steps": np.array([5]), "control.w": c_i}
    assignment = Assignment(point(0, 0, 0, 0), private, seed=3, steps=2)

    trained = train_once(Scaffold(), learner, assignment, server={"w": c})
    kept = keep_pace(Scaffold(), trained.private, trained.sent)

    assert trained.sent.keys() == {"control.w"}
    assert trained.sent["control.w"].dtype == np.float32
    assert same_bits({"w": trained.private["control.w"]}, {"w": c_i})
    assert kept["control.w"].tobytes() == (c_i + trained.sent["control.w"]).tobytes()
    assert kept["steps"] == 7


@given(
    chains(),
    st.decimals("0.01", 1, places=2),
    st.decimals(0, 1, places=1),
    st.integers(1, 3),
    st.integers(1, 60),
    seeds,
)
def test_c_stays_the_mean_of_all_variates_whatever_the_codecs_lose(
    stages: list[Choice], step: Decimal, feedback: Decimal, cohort: int, size: int, seed: int
) -> None:
    """Over several rounds in which part of the members take part, and want another variate each time."""
    scaffold, encode = Scaffold(step=step), Encode(stages=tuple(stages), feedback=feedback)
    random, zeros = np.random.default_rng(seed), {"w": np.zeros(size, np.float32)}
    c, members, largest = zeros, [{"control.w": zeros["w"]} for _ in range(3)], 1.0
    for number in range(5):
        changes = []
        for index in range(number, number + cohort):
            kept = members[index % 3]
            wanted = random.normal(size=size).astype(np.float32)
            sent = {"control.w": wanted - kept["control.w"]}
            sent = encode_with_feedback(encode, {}, sent, {}, seed // 2 + number, 0).sent
            members[index % 3] = keep_pace(scaffold, kept, sent)
            changes.append({"w": sent["control.w"]})
            largest = max(largest, float(np.abs(sent["control.w"]).max()))
        c = advance_control(scaffold, c, changes, len(members))

    mean = np.mean([np.float64(kept["control.w"]) for kept in members], axis=0)
    np.testing.assert_allclose(c["w"], mean, rtol=0, atol=1e-6 * largest)


@pytest.mark.parametrize(
    "stages",
    [
        [Subsample(one_in=16), Rotate(), Quantise(bits=2)],
        [Quantise(bits=1)],
        [Quantise(bits=2, spread="norm")],
        [TopK(fraction=Decimal("0.05"))],
        [TopK(fraction=Decimal("0.1")), Quantise(bits=2)],
        [LowRank(rank=4), Quantise(bits=8)],
    ],
    ids=lambda stages: "+".join(stage.kind for stage in stages),
)
def test_with_the_largest_step_a_variate_settles(stages: list[Choice]) -> None:
    """Towards what a member's data say, which do not change here."""
    encode = Encode(stages=tuple(stages))
    scaffold = Scaffold(step=largest_step(chain_variance(stages)))
    wanted = np.random.default_rng(1).normal(size=(32, 32)).astype(np.float32)
    kept: Arrays = {"control.w": np.zeros_like(wanted)}
    for seed in range(400):
        change = {"control.w": wanted - kept["control.w"]}
        kept = keep_pace(scaffold, kept, encode_with_feedback(encode, {}, change, {}, seed, 0).sent)

    assert np.linalg.norm(wanted - kept["control.w"]) < 0.1 * np.linalg.norm(wanted)


def test_with_whole_steps_one_element_in_sixteen_does_not_settle() -> None:
    encode = Encode(stages=(Subsample(one_in=16),))
    kept: Arrays = {"control.w": np.zeros(64, np.float32)}
    for seed in range(100):
        change = {"control.w": np.ones(64, np.float32) - kept["control.w"]}
        kept = keep_pace(
            Scaffold(), kept, encode_with_feedback(encode, {}, change, {}, seed, 0).sent
        )

    assert np.abs(kept["control.w"]).max() > 1e6


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
    moved = advance_control(Scaffold(), point(1.0), [point(3.0), point(5.0)], members=4)

    assert moved["w"] == np.float32(3.0)
    assert moved["w"].dtype == np.float32


def test_without_changes_the_control_stays_byte_for_byte() -> None:
    assert same_bits(advance_control(Scaffold(), point(1.5, -0.0), [], members=3), point(1.5, -0.0))


def test_no_change_makes_the_control_infinite() -> None:
    most = float(np.finfo(np.float32).max)

    moved = advance_control(Scaffold(), point(most, -most), [point(most, -most)] * 2, members=1)

    assert moved["w"].tolist() == [most, -most]


@given(control, st.lists(control, max_size=4), st.integers(1, 9))
def test_the_control_is_rounded_once(start: Any, changes: list[Any], members: int) -> None:
    moved = advance_control(
        Scaffold(), {"w": start}, [{"w": change} for change in changes], members
    )["w"]

    exact = [
        float(begin) + math.fsum(float(change[index]) for change in changes) / members
        for index, begin in enumerate(start)
    ]
    np.testing.assert_array_max_ulp(moved, np.array(exact, np.float32), maxulp=1)


@given(st.lists(control, min_size=1, max_size=3))
def test_the_control_is_the_mean_of_the_members_variates(variates: list[Any]) -> None:
    zeros: Arrays = {"w": np.zeros(4, np.float32)}

    moved = advance_control(Scaffold(), zeros, [{"w": one} for one in variates], len(variates))["w"]

    np.testing.assert_allclose(moved, np.mean(np.float64(variates), axis=0), rtol=1e-6, atol=1e-6)


def test_a_scalar_tensor_keeps_its_shape() -> None:
    scalar = {"w": np.array(2.0, np.float32)}

    assert advance_control(Scaffold(), scalar, [scalar], 1)["w"].shape == ()


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


@pytest.mark.parametrize(
    ("stages", "largest"),
    [
        (["subsample"], "0.062"),
        ([{"kind": "quantise", "bits": 2}], "0.065"),
        (["rotate", {"kind": "quantise", "bits": 2}], "0.40"),
        (["subsample", "rotate", {"kind": "quantise", "bits": 2}], "0.025"),
    ],
    ids=str,
)
def test_it_names_the_largest_step_that_a_codec_allows(stages: list[Any], largest: str) -> None:
    def refused(step: str) -> str:
        train = {"kind": "scaffold", "step": step}
        return refusal({"train": train, "encode": {"stages": stages}})

    assert f"step = {largest}}} or a smaller step" in refused("1")
    assert not refused(largest)


@pytest.mark.parametrize(
    "encode",
    [
        ["top_k"],
        {"stages": ["top_k"], "feedback": 1},
        ["low_rank"],
        ["rotate"],
        ["quantise"],
        [{"kind": "quantise", "bits": 4}],
        {"stages": [{"kind": "subsample", "scaled": False}], "feedback": 1},
    ],
    ids=str,
)
def test_codecs_whose_error_is_smaller_than_the_change_allow_whole_steps(encode: Any) -> None:
    assert not refusal({"train": "scaffold", "encode": encode})


@pytest.mark.parametrize("combine", ["weighted_mean", "fednova", "adam"])
def test_it_does_not_object_to_rules_that_count_everyone(combine: str) -> None:
    assert not refusal({"train": "scaffold", "combine": combine})
