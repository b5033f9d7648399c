"""The flow's network: shapes, first values, and what it is conditioned on."""

import numpy as np
import pytest
import torch
from knobs import flow_options

from fl_node.learning import genesis
from fl_node.learning.flow.models import Flow, build
from fl_node.learning.tensors import fill_module, module_tensors

TINY = flow_options(width=4)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [32, 64])
def test_pictures_and_times_become_velocities_of_the_same_shape(size, channels):
    flow = Flow(flow_options(size=size, channels=channels, width=4))
    x_NCHW = torch.randn(2, channels, size, size)
    assert flow(x_NCHW, torch.rand(2)).shape == x_NCHW.shape
    assert flow.body(x_NCHW, torch.rand(2)).shape == (2, 4, size // 2, size // 2)


def test_the_smallest_maps_are_4x4_and_the_widest():
    for size, widest in ((32, 16), (64, 32)):
        assert Flow(flow_options(size=size, width=4)).body.down[-1].first.in_channels == widest


def test_at_first_the_velocity_is_0_and_every_block_gives_what_it_gets():
    model = build(TINY)
    fill_module(model, genesis(TINY, 1))
    x_NCHW = torch.randn(3, 1, 32, 32)
    assert not model["flow"](x_NCHW, torch.rand(3)).any()
    maps_NCHW = torch.randn(2, 4, 16, 16)
    assert torch.equal(model["flow"].body.down[0](maps_NCHW, torch.randn(2, 4)), maps_NCHW)


def test_first_values_keep_the_scale_of_what_goes_in():
    options = flow_options(width=32)
    model = build(options)
    fill_module(model, genesis(options, 1))
    maps_NCHW = model["flow"].body(torch.randn(64, 1, 32, 32), torch.rand(64))
    assert 0.5 < maps_NCHW.std() < 2


def test_the_velocity_depends_on_the_time_and_on_the_class():
    torch.manual_seed(0)
    flow = Flow(flow_options(width=4, classes=3))
    x_NCHW = torch.randn(1, 1, 32, 32)

    def velocity(time, label):
        labels_N = None if label is None else torch.tensor([label])
        return flow(x_NCHW, torch.tensor([time]), labels_N)

    first = velocity(0.5, 0)
    for time, label in ((0.6, 0), (0.5, 1), (0.5, None)):
        assert not torch.equal(first, velocity(time, label))


def test_classes_are_learnt_only_where_there_are_some():
    name = "flow.body.condition.classes.weight"
    assert name not in genesis(TINY, 1)
    vectors_KE = genesis(flow_options(width=32, classes=30), 1)[name]
    assert vectors_KE.shape == (30, 128)
    assert vectors_KE.std() == pytest.approx(1, abs=0.05)


def test_every_exchanged_tensor_is_a_float32_with_a_gradient():
    model = build(flow_options(width=4, classes=3))
    assert {tensor.dtype for tensor in module_tensors(model).values()} == {torch.float32}
    trained = {name for name, _ in model["flow"].named_parameters()}
    assert module_tensors(model["flow"]).keys() == trained, "nothing is a statistic"


def test_an_average_is_kept_only_where_it_has_a_half_life_and_starts_as_the_flow():
    assert "flow_ema" not in build(flow_options(ema_half_life=0))
    arrays = genesis(TINY, 3)
    averages = [name for name in arrays if name.startswith("flow_ema.")]
    assert averages
    for name in averages:
        assert np.array_equal(arrays[name], arrays[name.replace("flow_ema.", "flow.")])


def test_the_last_layer_is_all_that_fedper_leaves_to_each_member():
    from fl_node.learning import shared_names
    from fl_node.manifest.learners import FlowLearner

    names = genesis(TINY, 1).keys()
    kept = names - set(shared_names(names, FlowLearner.body))
    assert kept == {
        f"{part}.to_velocity.{kind}" for part in ("flow", "flow_ema") for kind in ("weight", "bias")
    }
