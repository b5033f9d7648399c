"""Kernels of a training step are reviewed: a change shows in the diff of tests/snapshots/kernels.json.

On a GPU a step of a small network takes as long as it takes to launch its kernels. To accept new figures:
`python tests/fl_node/learning/test_kernels.py`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

TESTS = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(TESTS), str(TESTS.parent), str(TESTS.parent / "scripts")]

from bench.kernels import kernels_per_step  # noqa: E402
from knobs import classifier_options, flow_options, gan_options  # noqa: E402

from fl_node.learning.device import prepare  # noqa: E402

SNAPSHOT = TESTS / "snapshots" / "kernels.json"
LISTING = {"loss": "bce", "penalty": 0.0, "ema_half_life": 0}
STEPS = {
    "gan 64x64, group norm": gan_options(size=64, norm="group"),
    "gan 64x64, batch norm": gan_options(size=64, norm="batch"),
    "gan 64x64, no norm": gan_options(size=64, norm="none"),
    "gan 64x64, residual": gan_options(size=64, network="residual", norm="none"),
    "gan 64x64, residual, 10 classes": gan_options(
        size=64, network="residual", norm="none", classes=10
    ),
    "gan 64x64, the listing's": gan_options(size=64, norm="batch", **LISTING),
    "gan 32x32, group norm": gan_options(size=32, norm="group"),
    "flow 32x32": flow_options(),
    "flow 64x64": flow_options(size=64),
    "classifier, cnn, sgd": classifier_options(momentum=0.9),
    "classifier, cnn, adam": classifier_options(optimiser="adam"),
    "classifier, resnet18, sgd": classifier_options(network="resnet18"),
}


def kernels() -> dict[str, int]:
    """Kernels of a step, for each learner, network and norm."""
    return {name: kernels_per_step(options) for name, options in STEPS.items()}


def test_kernels_are_what_was_recorded() -> None:
    assert kernels() == json.loads(SNAPSHOT.read_bytes())


def test_kernels_do_not_depend_on_a_training_on_the_cpu_before() -> None:
    """Which asks PyTorch for deterministic operations, some of which are composed of others."""
    prepare(torch.device("cpu"))
    name = "gan 64x64, residual"
    assert kernels_per_step(STEPS[name]) == json.loads(SNAPSHOT.read_bytes())[name]


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(kernels(), indent=2) + "\n")
