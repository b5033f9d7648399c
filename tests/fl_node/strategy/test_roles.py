"""Which tensors are weights, which statistics, which averages: by their names alone, without a model."""

from __future__ import annotations

import pytest
from doubles import small_manifest

from fl_node.errors import ManifestInvalid
from fl_node.strategy.roles import Average, Roles

BATCH_NORM = {"kind": "gan", "norm": "batch"}
ROLES = small_manifest(learner=BATCH_NORM).roles

WEIGHT, VARIANCE = "generator.to_picture.weight", "generator.blocks.to_4x4.norm.running_var"
MEAN, AVERAGE = "discriminator.from_8x8.norm.running_mean", "generator_ema.to_picture.weight"


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
    model = {name: name.upper() for name in (WEIGHT, VARIANCE, MEAN, AVERAGE)}
    assert ROLES.only("weight", model) == {WEIGHT: WEIGHT.upper()}
    assert ROLES.only("statistic", model).keys() == {VARIANCE, MEAN}
    assert ROLES.only("average", model).keys() == {AVERAGE}


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
    assert ROLES.objection([WEIGHT, AVERAGE]) is None
    assert ROLES.objection([WEIGHT]) is None
    assert "which is not shared" in str(ROLES.objection([MEAN, AVERAGE]))


def test_something_that_is_learnt_is_shared():
    assert "no weight is shared" in str(ROLES.objection([MEAN, VARIANCE]))
