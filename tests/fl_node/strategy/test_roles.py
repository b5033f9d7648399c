"""Which tensors are weights, which statistics, which averages: by their names alone, without a model."""

from __future__ import annotations

import numpy as np
import pytest
from doubles import small_manifest

from fl_node.blobs.tensors import Spec
from fl_node.errors import ManifestInvalid
from fl_node.strategy.roles import Average, Role, Roles

BATCH_NORM = {"kind": "gan", "norm": "batch"}
ROLES = small_manifest(learner=BATCH_NORM).roles

WEIGHT, VARIANCE = "generator.to_picture.weight", "generator.blocks.to_4x4.norm.running_var"
MEAN, AVERAGE = "discriminator.from_8x8.norm.running_mean", "generator_ema.to_picture.weight"
COUNT = "generator.blocks.to_4x4.norm.num_batches_tracked"
FLOAT, INTEGER = np.dtype(np.float32), np.dtype(np.int64)


def specs(*names: str) -> dict[str, Spec]:
    return {name: Spec((2,), FLOAT) for name in names}


@pytest.mark.parametrize(
    ("tensor", "role"),
    [
        (WEIGHT, "weight"),
        (VARIANCE, "statistic"),
        (MEAN, "statistic"),
        (AVERAGE, "average"),
        ("generator_ema.blocks.to_4x4.norm.running_var", "average"),
        ("generator_emanating.weight", "weight"),
    ],
)
def test_a_tensor_has_the_role_that_its_name_says(tensor, role):
    assert ROLES.role(tensor) == role


def test_a_model_is_split_into_its_roles():
    model = {**specs(WEIGHT, VARIANCE, MEAN, AVERAGE), COUNT: Spec((), INTEGER)}
    assert ROLES.only("weight", model) == specs(WEIGHT)
    assert ROLES.only("statistic", model) == specs(VARIANCE, MEAN)
    assert ROLES.only("average", model) == specs(AVERAGE)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
@pytest.mark.parametrize("name", [WEIGHT, VARIANCE, MEAN, AVERAGE])
def test_what_is_not_floating_point_has_no_role(name, dtype):
    roles: tuple[Role, ...] = ("weight", "statistic", "average")
    assert not any(ROLES.only(role, {name: np.zeros(2, dtype)}) for role in roles)


def test_an_average_names_the_tensor_that_it_is_of():
    average = Average(name="generator_ema", of="generator", half_life=200)
    assert ROLES.average_of(AVERAGE) == (average, WEIGHT)
    assert ROLES.average_of(WEIGHT) is None


def test_a_variance_is_never_negative_and_a_mean_may_be():
    assert [name for name in (WEIGHT, VARIANCE, MEAN) if ROLES.is_at_least_zero(name)] == [VARIANCE]


@pytest.mark.parametrize(
    ("learner", "roles"),
    [
        ("classifier", Roles()),
        ({"kind": "gan", "ema_half_life": 0}, Roles()),
        (
            {"kind": "gan", "ema_half_life": 3, "ema_unit": "rounds"},
            Roles(
                averages=(
                    Average(name="generator_ema", of="generator", half_life=3, unit="rounds"),
                )
            ),
        ),
    ],
    ids=["classifier", "no average", "counted in rounds"],
)
def test_a_manifest_has_the_roles_that_follow_from_its_learner(learner, roles):
    assert small_manifest(learner=learner).roles == roles


def test_a_manifest_may_state_the_roles_that_follow():
    manifest = small_manifest(learner=BATCH_NORM)
    stated = small_manifest(learner=BATCH_NORM, roles=manifest.roles.model_dump())
    assert stated.to_bytes() == manifest.to_bytes()


def test_a_manifest_with_other_roles_is_refused():
    with pytest.raises(ManifestInvalid, match="roles differ from those that follow"):
        small_manifest(learner=BATCH_NORM, roles={"statistics": ["*"]})


def test_a_wrong_learner_is_reported_once_and_not_as_wrong_roles():
    with pytest.raises(ManifestInvalid) as refused:
        small_manifest(learner={"kind": "gan", "latent": 0})
    assert "roles" not in str(refused.value)
    assert "latent" in str(refused.value)


def test_an_average_is_shared_with_what_it_is_of_or_not_at_all():
    assert ROLES.objection(specs(WEIGHT, AVERAGE)) is None
    assert ROLES.objection(specs(WEIGHT)) is None
    assert "which is not shared" in str(ROLES.objection(specs(MEAN, AVERAGE)))


def test_something_that_is_learnt_is_shared():
    assert "no weight is shared" in str(ROLES.objection(specs(MEAN, VARIANCE)))
    assert "no weight is shared" in str(ROLES.objection({WEIGHT: Spec((), INTEGER)}))


def test_the_count_of_batches_of_an_average_is_a_constant_like_the_count_that_it_copies():
    counts = {name: Spec((), INTEGER) for name in (COUNT, COUNT.replace("or.", "or_ema."))}
    assert ROLES.objection({**specs(WEIGHT, AVERAGE), **counts}) is None


@pytest.mark.parametrize("integer", [WEIGHT, AVERAGE])
def test_an_average_of_integers_is_none(integer):
    model = {**specs(WEIGHT, AVERAGE, "generator.other"), integer: Spec((2,), INTEGER)}
    assert "one of them holds integers" in str(ROLES.objection(model))
