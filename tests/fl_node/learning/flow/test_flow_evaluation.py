"""The held-out loss: the flow-matching loss, with noise and times that are always the same."""

import numpy as np
import pytest
import torch
from knobs import flow_options

from fl_node.learning import genesis
from fl_node.learning.flow.evaluation import LEAST, MOST, held_out_loss
from fl_node.learning.flow.models import build
from fl_node.learning.steps import Pictures, to_pictures
from fl_node.learning.tensors import fill_module

OPTIONS = flow_options(width=4)
SEED = 3


def model_of(options=OPTIONS, arrays=None):
    model = build(options)
    fill_module(model, arrays or genesis(options, 1))
    return model


def pictures(count: int, classes: int = 1) -> Pictures:
    pixels = np.random.default_rng(0).integers(0, 256, (count, 1, 32, 32), np.uint8)
    return Pictures(torch.from_numpy(pixels), torch.arange(count) % classes)


def test_a_flow_at_rest_errs_by_the_mean_square_of_pictures_and_noise():
    held_out = pictures(30)
    square = to_pictures(held_out.pixels_NCHW).square().mean().item()
    assert held_out_loss(OPTIONS, model_of(), held_out, SEED) == pytest.approx(1 + square, rel=0.02)


def test_the_same_seed_gives_the_same_loss_and_another_seed_another():
    losses = [held_out_loss(OPTIONS, model_of(), pictures(5), seed) for seed in (3, 3, 4)]
    assert losses[0] == losses[1] != losses[2]


def test_the_average_is_measured_where_there_is_one():
    arrays = genesis(OPTIONS, 1)
    at_rest = held_out_loss(OPTIONS, model_of(), pictures(5), SEED)
    for part, differs in (("flow.", False), ("flow_ema.", True)):
        moved = {
            name: array + np.float32(0.1) if name.startswith(part) else array
            for name, array in arrays.items()
        }
        loss = held_out_loss(OPTIONS, model_of(arrays=moved), pictures(5), SEED)
        assert (loss != at_rest) == differs


def test_few_pictures_are_used_several_times_and_of_many_the_first_so_many():
    many = pictures(MOST + 1)
    first = Pictures(many.pixels_NCHW[:MOST], many.labels_N)
    one, other = (held_out_loss(OPTIONS, model_of(), data, SEED) for data in (many, first))
    assert one == other
    repeated = Pictures(pictures(2).pixels_NCHW.repeat(LEAST // 2, 1, 1, 1))
    few, same = (held_out_loss(OPTIONS, model_of(), data, SEED) for data in (pictures(2), repeated))
    assert few == same


def test_a_conditional_flow_is_told_the_classes():
    options = flow_options(width=4, classes=2)
    arrays = {
        name: np.random.default_rng(1).normal(0, 0.1, array.shape).astype(np.float32)
        for name, array in genesis(options, 1).items()
    }
    held_out = pictures(6, classes=2)
    swapped = Pictures(held_out.pixels_NCHW, 1 - held_out.labels_N)
    one, other = (
        held_out_loss(options, model_of(options, arrays), data, SEED)
        for data in (held_out, swapped)
    )
    assert one != other
