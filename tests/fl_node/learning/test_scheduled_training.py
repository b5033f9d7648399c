"""A learner under a schedule: each round is trained with its own values, and goes on from the state it had."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from doubles import small_manifest

from fl_node.learner import Assignment, Trained
from fl_node.learning import Images, Options, genesis, learning_options, make_learner
from fl_node.learning.options import at_round

SEED = 11
SMALL: dict[str, dict[str, Any]] = {
    "gan": {
        "latent": 8,
        "generator_width": 4,
        "discriminator_width": 4,
        "batch": 4,
        "extractor": {"width": 4},
    },
    "classifier": {"width": 4, "batch": 4, "classes": 2},
}
KNOBS = [
    ("gan", "generator_rate", "0.001", "0.01"),
    ("gan", "discriminator_rate", "0.001", "0.01"),
    ("gan", "penalty", "1", "0"),
    ("gan", "beta2", "0.9", "0.99"),
    ("classifier", "rate", "0.1", "0.01"),
]
knobs = pytest.mark.parametrize(("kind", "knob", "first", "second"), KNOBS)


def options(kind: str, **given: Any) -> Options:
    return learning_options(small_manifest(learner={"kind": kind, **SMALL[kind], **given}))


def pictures() -> Images:
    random = np.random.default_rng(0)
    pixels_NCHW = random.integers(0, 256, (12, 1, 32, 32), np.uint8)
    return Images(pixels_NCHW, np.arange(12, dtype=np.int64) % 2)


def train(chosen: Options, round: int, before: Trained | None = None) -> Trained:
    """One round of two steps."""
    learner = make_learner(chosen, SEED, pictures(), device="cpu", threads=1)
    model = genesis(chosen, SEED) if before is None else before.shared
    private = None if before is None else before.private
    return learner.train(Assignment(model, private, seed=round, steps=2, round=round))


def same_bytes(one: Trained, other: Trained) -> bool:
    ones, others = {**one.shared, **one.private}, {**other.shared, **other.private}
    assert ones.keys() == others.keys()
    return all(ones[name].tobytes() == others[name].tobytes() for name in ones)


class TestOptions:
    def test_a_round_has_plain_numbers(self):
        rate = {"from": "0.3", "to": "0.1", "over": 3, "kind": "linear"}
        falling = options("classifier", rate=rate)
        assert [at_round(falling, round).rate for round in (1, 2, 3, 4)] == [0.3, 0.2, 0.1, 0.1]

    def test_knobs_without_a_schedule_stay(self):
        falling = options("gan", beta2=[[1, "0.9"], [2, "0.99"]])
        assert replace(at_round(falling, 2), beta2=0.9) == at_round(falling, 1)

    @pytest.mark.parametrize("kind", SMALL)
    def test_without_schedules_every_round_is_the_same(self, kind):
        plain = options(kind)
        assert plain.schedules == ()
        assert at_round(plain, 7) == plain


@knobs
def test_each_round_is_trained_with_its_own_value(kind, knob, first, second):
    scheduled = options(kind, **{knob: [[1, first], [2, second]]})
    by_schedule = train(scheduled, 2, train(scheduled, 1))
    by_hand = train(options(kind, **{knob: second}), 2, train(options(kind, **{knob: first}), 1))
    assert same_bytes(by_schedule, by_hand)
    unchanged = train(options(kind, **{knob: first}), 2, train(scheduled, 1))
    assert not same_bytes(by_schedule, unchanged)


@knobs
def test_a_schedule_that_never_changes_trains_the_bytes_of_the_number(kind, knob, first, second):
    constant = {"from": first, "to": first, "over": 9}
    plain, scheduled = options(kind, **{knob: first}), options(kind, **{knob: constant})
    assert same_bytes(train(plain, 2, train(plain, 1)), train(scheduled, 2, train(scheduled, 1)))


def test_the_optimisers_state_goes_on_under_another_rate():
    scheduled = options("gan", generator_rate=[[1, "0.001"], [2, "0.01"]])
    first = train(scheduled, 1)
    second = train(scheduled, 2, first)
    step = "optimiser.step.generator.to_picture.weight"
    assert (first.private[step].item(), second.private[step].item()) == (2, 4)
    forgetful = train(scheduled, 2, replace(first, private=train(scheduled, 2).private))
    assert not same_bytes(second, forgetful)
