"""A flow's held-out loss: the flow-matching loss on held-out pictures, always with the same noise and times."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from fl_node.learning.averages import drawing_part
from fl_node.learning.flow.losses import velocity_loss
from fl_node.learning.flow.options import FlowOptions
from fl_node.learning.steps import Examples, to_pictures
from fl_node.seeds import derive_seed

LEAST, MOST = 256, 1024
"""The least number of points that the loss is a mean over, and the most held-out pictures that are used."""

CHUNK = 256
"""Number of points that are processed at a time."""


@torch.no_grad()
def held_out_loss(
    options: FlowOptions, model: nn.ModuleDict, held_out: Examples, seed: int
) -> float:
    """Mean squared error of the velocity on held-out pictures.

    If the model has an average of the flow, the average is measured. Few pictures are used several times. The times
    are evenly spaced from 0 to 1.

    Args:
        options: The model's options.
        model: On the pictures' device.
        held_out: At least 1, in random order, with labels if the flow is conditional.
        seed: The manifest's seed. It determines the noise, which is the same in every round and on every device so that
            rounds can be compared.
    """
    flow = model[drawing_part(model, "flow")].eval()
    device = held_out.pixels_NCHW.device
    used = min(len(held_out), MOST)
    points = used * math.ceil(LEAST / used)
    chosen_N = torch.arange(points, device=device) % used
    random = torch.Generator().manual_seed(derive_seed(seed, "held-out noise"))
    noise_NCHW = torch.randn(points, *held_out.pixels_NCHW.shape[1:], generator=random).to(device)
    times_N = (torch.arange(points, device=device) + 0.5) / points
    total = 0.0
    for part in torch.arange(points, device=device).split(CHUNK):
        x_NCHW = to_pictures(held_out.pixels_NCHW[chosen_N[part]])
        labels_N = _labels(options, held_out, chosen_N[part])
        loss = velocity_loss(flow, x_NCHW, noise_NCHW[part], times_N[part], labels_N)
        total += loss.item() * len(part)
    return total / points


def _labels(options: FlowOptions, held_out: Examples, chosen_N: Tensor) -> Tensor | None:
    return held_out.labels_N[chosen_N] if options.classes else None
