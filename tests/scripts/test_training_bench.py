"""The benchmark of training builds the models of today, and says what it could not measure."""

from argparse import Namespace

import pytest
import torch
from bench.training import describe_model, ours, random_images, report_graph

from fl_node.learning import Options

CPU = torch.device("cpu")


def options_of(learner: str) -> Options:
    return describe_model(Namespace(learner=learner, size=32, batch=2))


@pytest.mark.parametrize("learner", ["gan", "classifier", "resnet18"])
def test_every_learner_takes_a_step(learner: str) -> None:
    options = options_of(learner)
    assert ours(options, random_images(options), CPU)(1) > 0


def test_without_a_gpu_it_says_that_graphs_could_not_be_compared(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = options_of("classifier")
    report_graph(options, random_images(options), CPU)
    assert "could not be compared" in capsys.readouterr().out
