"""Which tensors an update has, and which of them the codecs see."""

from __future__ import annotations

import numpy as np
import pytest

from fl_node.blobs.tensors import Schema, Spec
from fl_node.errors import Misuse, UpdateInvalid
from fl_node.round.form import form_of
from fl_node.strategy.encode import encode_arrays
from fl_node.strategy.encode.quantise import Quantise
from fl_node.strategy.roles import Average, Roles

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
ROLES = Roles(statistics=("*.running_var",), averages=(Average(name="ema", of="net", half_life=5),))
MODEL: Schema = {
    "net.weight": Spec((4,), FLOAT64),
    "net.running_var": Spec((2,), FLOAT32),
    "ema.weight": Spec((4,), FLOAT64),
    "ema.running_var": Spec((2,), FLOAT32),
}
FORM = form_of(MODEL, ROLES)
STAGES = (Quantise(bits=8),)


def sent() -> dict[str, np.ndarray]:
    weights = {"net.weight": np.arange(4, dtype=np.float32)}
    return encode_arrays(STAGES, weights, 7) | {"net.running_var": np.ones(2, np.float32)}


def test_weights_are_coded_statistics_are_not_and_averages_do_not_travel():
    assert FORM.coded == {"net.weight": Spec((4,), FLOAT32)}
    assert FORM.plain == {"net.running_var": Spec((2,), FLOAT32)}


def test_an_algorithm_sends_something_for_each_weight_alone():
    form = form_of(MODEL, ROLES, ("control",))
    assert form.coded.keys() == {"net.weight", "control.net.weight"}


def test_decoding_gives_what_was_sent():
    decoded = FORM.decode(STAGES, sent(), 7)
    assert decoded["net.running_var"].tolist() == [1, 1]
    assert decoded["net.weight"] == pytest.approx(np.arange(4), abs=0.02)


@pytest.mark.parametrize(
    "spoil",
    [
        {"net.running_var": np.ones(3, np.float32)},
        {"net.running_var": np.ones(2, np.float64)},
        {"ema.weight": np.ones(4, np.float32)},
        {"net.weight": np.ones(4, np.float32)},
    ],
    ids=["another shape", "another dtype", "an average", "not encoded"],
)
def test_other_tensors_are_refused(spoil):
    with pytest.raises(UpdateInvalid, match="tensors"):
        FORM.decode(STAGES, sent() | spoil, 7)


def test_a_missing_statistic_is_refused():
    with pytest.raises(UpdateInvalid, match=r"'net.running_var'.*None"):
        FORM.decode(STAGES, {n: a for n, a in sent().items() if n != "net.running_var"}, 7)


def test_a_statistic_may_not_have_the_name_of_a_codecs_part():
    model = {"w": Spec((4,), FLOAT32), "w/quantise.scale": Spec((1,), FLOAT32)}
    with pytest.raises(Misuse, match="rename the tensor"):
        form_of(model, Roles(statistics=("*scale",))).encoded(STAGES)
