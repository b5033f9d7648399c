"""Where training runs, and what it leaves behind there."""

import pytest
import torch

from fl_node.learning.device import release


@pytest.mark.parametrize(("device", "released"), [("cuda:1", 1), ("cpu", 0), ("mps", 0)])
def test_only_a_gpu_that_others_may_share_is_asked_for_memory_back(monkeypatch, device, released):
    calls = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: calls.append(device))
    release(torch.device(device))
    assert len(calls) == released
