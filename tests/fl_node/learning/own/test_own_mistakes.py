"""What a user's code can do wrong: one line that names the method, of a family that says who is to act."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from fl_node.child.setup import Setup
from fl_node.errors import CodeRefused, DataUnusable, Misuse, TrainingDiverged, TrainingFailed
from fl_node.learner import Assignment
from fl_node.learning.own import build_genesis, open_learner

WHOLE = {"weight": np.ones((1, 2), np.float32), "bias": np.zeros(1, np.float32)}


def setup_of(name: str, **changes: Any) -> Setup:
    return Setup(
        **{"kind": "module", "entry": f"own_models:{name}", "seed": 3, "batch": 8} | changes
    )


def train(name: str, genesis: Any = WHOLE, **terms: Any) -> Any:
    return open_learner(setup_of(name), genesis).train(Assignment(genesis, None, 1, 3, **terms))


@pytest.mark.parametrize(
    ("entry", "error", "reason"),
    [
        (
            "no_such_module:Chest",
            CodeRefused,
            "'no_such_module' cannot be imported: ModuleNotFoundError",
        ),
        ("own_models:Chest", Misuse, "the module 'own_models' has no 'Chest'"),
        ("own_models:OPTIMISERS", Misuse, "is a dict; a class or function is expected"),
        (
            "own_models:not_a_learner",
            Misuse,
            r"not_a_learner\(\) gave a int; a TorchLearner is expected",
        ),
        ("own_models:raises", Misuse, r"raises\(\) raised OSError: no weights here"),
        ("own_models:Drawing", Misuse, "Drawing.draw: the engine calls it by this name; rename"),
        ("own_models:NoLoss", Misuse, r"NoLoss has neither loss\(\) nor training_step\(\)"),
        (
            "own_models:NoMeasure",
            Misuse,
            r"NoMeasure has no loss\(\) to measure with: write measure",
        ),
        ("own_models:NoBuild", Misuse, r"NoBuild has no build\(knobs\)"),
        ("own_models:BuildsNoModule", Misuse, r"build\(\) gave a list; a torch.nn.Module"),
        ("own_models:BuildRaises", Misuse, r"build\(\) raised KeyError: 'width'"),
        ("own_models:BuildsInfinity", Misuse, "tensor 'weight' is not finite"),
        ("own_models:BuildsBfloat16", Misuse, "tensor 'weight' is bfloat16; allowed: float16"),
        ("own_models:BuildsEmpty", Misuse, r"tensor 'empty' of shape \(0,\) has no element"),
        ("own_models:BuildsReserved", Misuse, "'optimiser' is reserved"),
    ],
)
def test_code_that_makes_no_model_is_refused(entry: str, error: type, reason: str) -> None:
    setup = Setup(kind="module", entry=entry, seed=3, batch=8)
    with pytest.raises(error, match=reason):
        build_genesis(setup)
    with pytest.raises(error, match=reason):
        open_learner(setup, WHOLE)


def test_a_model_without_tensors_is_refused() -> None:
    with pytest.raises(Misuse, match=r"build\(\) gave a model without tensors"):
        build_genesis(setup_of("BuildsNothing"))
    with pytest.raises(Misuse, match=r"optimisers\(\) raised ValueError: .* empty parameter list"):
        open_learner(setup_of("BuildsNothing"), WHOLE)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("OptimisersRaise", r"optimisers\(\) raised ValueError: Invalid learning rate"),
        (
            "OneOptimiser",
            r'optimisers\(\) gave a SGD; a dict is expected, such as {"model": optimiser}',
        ),
        ("NoData", r"NoData has no data\(uri, knobs\)"),
    ],
)
def test_code_that_cannot_train_is_refused_at_opening(name: str, reason: str) -> None:
    with pytest.raises(Misuse, match=reason):
        open_learner(setup_of(name), WHOLE)


@pytest.mark.parametrize(
    ("genesis", "reason"),
    [
        ({"weight": WHOLE["weight"]}, "the genesis lacks 'bias', which the code's model has"),
        ({**WHOLE, "more": WHOLE["bias"]}, "the genesis has 'more', which the code's model lacks"),
        (
            {**WHOLE, "bias": np.zeros(2, np.float32)},
            r"'bias' is float32 \(2,\) in the genesis, float32 \(1,\) in the code",
        ),
        (
            {**WHOLE, "bias": np.zeros(1)},
            r"'bias' is float64 \(1,\) in the genesis, float32 \(1,\) in the code",
        ),
    ],
)
def test_a_genesis_that_does_not_fit_is_refused_in_its_first_difference(
    genesis: Any, reason: str
) -> None:
    with pytest.raises(Misuse, match=reason):
        open_learner(setup_of("Whole"), genesis)


def test_a_genesis_can_have_a_callable_of_its_own() -> None:
    setup = setup_of("Whole", genesis="own_models:other_weights")
    first, second = build_genesis(setup), build_genesis(setup)
    assert first["weight"].tolist() == [[0.5, 0.5]]
    assert first["bias"].tobytes() == second["bias"].tobytes()
    for name, reason in (
        ("wrong_weights", r"'weight' is float32 \(1, 3\) in the genesis"),
        ("not_a_learner", r"gave a int; a torch.nn.Module or a state dict"),
        ("raises", "raised OSError: no weights here"),
    ):
        with pytest.raises(Misuse, match=reason):
            build_genesis(setup_of("Whole", genesis=f"own_models:{name}"))


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("nothing", r"data\(\) gave a NoneType; allowed"),
        ("empty", r"data\(\) gave no examples"),
        ("empty tuple", r"data\(\) gave no examples"),
        ("uneven", "different numbers of examples: {'0': 20, '1': 19}"),
        ("number", "'0' is a single number"),
        ("text", "is no tensor"),
        ("few", "at least 4"),
        ("generator", r"data\(\) gave a generator"),
        ("unknown", r"data\(\) raised KeyError: 'unknown'"),
    ],
)
def test_unusable_data_are_refused_at_opening(uri: str, reason: str) -> None:
    with pytest.raises(DataUnusable, match=reason):
        open_learner(setup_of("DataOf", data=uri), WHOLE)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("LossRaises", r"loss\(\) raised ValueError: no such \[2J column$"),
        ("LossOfExamples", r"loss\(\) gave shape \(8,\); a scalar is expected"),
        ("LossIsNumber", r"loss\(\) gave a float; a scalar tensor is expected"),
        ("LossOfNothing", r"loss\(\) gave a number that no parameter has part in"),
        ("StepRaises", r"training_step\(\) raised KeyError: 'generator'"),
        (
            "StepGivesLoss",
            r'training_step\(\) gave a Tensor; a dict is expected, such as {"loss": loss}',
        ),
        ("StepGivesNothing", r"training_step\(\) gave no losses"),
        ("StepGivesMany", r"training_step\(\) gave 'loss' of shape \(8, 1\)"),
        ("StepChangesItsMind", r"training_step\(\) gave the losses loss 2 after loss 1"),
    ],
)
def test_a_step_that_fails_costs_the_round(name: str, reason: str) -> None:
    with pytest.raises(TrainingFailed, match=reason) as raised:
        train(name)
    assert "\n" not in str(raised.value)


def test_a_loss_that_is_nan_diverges() -> None:
    with pytest.raises(TrainingDiverged, match="no longer finite at step 3"):
        train("LossIsNan")


def test_a_measurement_that_fails_names_its_method() -> None:
    with pytest.raises(TrainingFailed, match=r"measure\(\) raised ValueError: could not convert"):
        open_learner(setup_of("MeasureRaises"), WHOLE).measure(WHOLE, None)
    with pytest.raises(TrainingFailed, match=r"measure\(\) gave a float; a dict is expected"):
        open_learner(setup_of("MeasuresNumber"), WHOLE).measure(WHOLE, None)
    with pytest.raises(TrainingFailed, match=r"loss\(\) raised ValueError"):
        open_learner(setup_of("LossRaises"), WHOLE).measure(WHOLE, None)


def test_what_only_shipped_models_have_is_refused() -> None:
    with pytest.raises(Misuse, match=r"no features, which strategy\.train = two_stream"):
        train("Whole", discrepancy=1.0)
    with pytest.raises(Misuse, match="trains against no other member's network"):
        train("Whole", opponents=({"discriminator.weight": WHOLE["weight"]},))


def test_a_measurement_has_what_the_manifest_names() -> None:
    setup = setup_of("Prices", metrics=("error", "accuracy"), data="1")
    genesis = build_genesis(setup)
    learner = open_learner(setup, genesis)
    with pytest.raises(TrainingFailed, match=r"measure\(\) gave no 'accuracy', .*; it gave error"):
        learner.measure(genesis, None)


def test_an_error_without_words_is_named_too() -> None:
    with pytest.raises(TrainingFailed, match=r"loss\(\) raised Wordless$"):
        train("LossIsWordless")


def test_an_optimiser_that_computes_its_gradients_itself_takes_no_terms() -> None:
    assert np.isfinite(train("Closure").training_loss)
    far = {name: array + 1 for name, array in WHOLE.items()}
    with pytest.raises(TrainingFailed, match=re.escape("optimisers(): a step of LBFGS computes")):
        train("Closure", anchor=far, mu=1.0)


def test_a_step_may_put_another_tensor_in_the_place_of_a_buffer() -> None:
    setup = setup_of("Replaces", share=("weight", "bias"))
    genesis = build_genesis(setup)
    shared = {name: genesis[name] for name in ("weight", "bias")}
    learner = open_learner(setup, genesis)
    first = learner.train(Assignment(shared, None, 1, 3))
    assert first.private["seen"].tolist() == [24, 24]
    assert (first.shared["bias"] != shared["bias"]).any()
    again = learner.train(Assignment(shared, None, 1, 3))
    assert all(again.shared[name].tobytes() == first.shared[name].tobytes() for name in shared)


def test_a_step_that_changes_the_models_form_costs_the_round_and_leaves_no_trace() -> None:
    learner = open_learner(setup_of("Grows"), WHOLE)
    for _ in range(2):
        with pytest.raises(TrainingFailed, match="changed the model's form, first in 'seen'"):
            learner.train(Assignment(WHOLE, None, 1, 3))


def test_a_tied_weight_is_one_tensor_and_a_mask_holds_truth_values() -> None:
    genesis = build_genesis(setup_of("Tied"))
    assert sorted(genesis) == [
        "first.bias", "first.weight", "idle.bias", "idle.weight", "last.bias", "mask",
    ]  # fmt: skip
    assert genesis["mask"].dtype == np.uint8
    zeros = {name: np.zeros_like(array) for name, array in genesis.items()}
    trained = train("Tied", genesis, mu=0.1, correction=zeros)
    assert trained.shared["mask"].tolist() == [1, 0]
    assert (trained.shared["first.weight"] != genesis["first.weight"]).any()
    assert (trained.shared["idle.weight"] == genesis["idle.weight"]).all()
    assert not trained.mean_gradient["idle.weight"].any()
    assert trained.mean_gradient["first.weight"].any()
