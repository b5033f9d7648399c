"""Where training runs, and what a node leaves there while it waits."""

import pytest
import torch

from fl_node.learning.device import idling, release, tuned_convolutions


@pytest.mark.parametrize(("device", "released"), [("cuda:1", 1), ("cpu", 0), ("mps", 0)])
def test_only_a_gpu_that_others_may_share_is_asked_for_memory_back(monkeypatch, device, released):
    calls = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append(device))
    release(torch.device(device))
    assert len(calls) == released


@pytest.mark.parametrize(("device", "tuned"), [("cuda", True), ("cpu", False)])
def test_convolutions_are_tuned_while_a_gpu_trains(device, tuned):
    before = torch.backends.cudnn.benchmark
    with tuned_convolutions(torch.device(device)):
        assert torch.backends.cudnn.benchmark == tuned
    assert torch.backends.cudnn.benchmark == before


def test_a_node_waits_for_as_long_as_it_is_told():
    waited = []
    idling("cpu", sleep=waited.append)(2.5)
    assert waited == [2.5]
