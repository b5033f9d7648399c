"""A classifier's accuracy and loss, and its features."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from fl_node.arrays import Arrays
from fl_node.learning.classifier.models import build
from fl_node.learning.classifier.options import ClassifierOptions
from fl_node.learning.data import Images, verify_images
from fl_node.learning.device import choose_device
from fl_node.learning.labels import verify_labels
from fl_node.learning.steps import Examples, move_to, to_device, to_pictures
from fl_node.learning.tensors import fill_module

CHUNK = 512
"""Number of pictures that are processed at a time."""


def held_out_loss(
    options: ClassifierOptions, model: nn.ModuleDict, held_out: Examples, seed: int
) -> float:
    """Mean cross-entropy over the held-out pictures. Nothing is drawn, so the seed has no effect."""
    return _accuracy_and_loss(model, held_out)[1]


def accuracy(
    options: ClassifierOptions, model: Arrays, images: Images, device: str | None = None
) -> tuple[float, float]:
    """Share of pictures that a model classifies correctly, 0 to 1, and its mean cross-entropy on them.

    Args:
        options: The model's options.
        model: All of its tensors.
        images: At least one, with classes.
        device: As for `make_learner`.

    Raises:
        Misuse: The tensors do not belong to this model.
        DataUnusable: The pictures have another shape, or their classes are missing or unknown.
        DeviceUnusable: This machine has no such device.
    """
    verify_images(images, options)
    verify_labels(options.classes, images)
    chosen = choose_device(device)
    return _accuracy_and_loss(move_to(_filled(options, model), chosen), to_device(images, chosen))


def features(options: ClassifierOptions, model: Arrays, x_NCHW: Tensor) -> Tensor:
    """The outputs of a model's last hidden layer for pictures: float32 features_ND, on the pictures' device.

    Args:
        options: The model's options.
        model: All of its tensors.
        x_NCHW: In [-1, 1], with the options' channels.

    Raises:
        Misuse: The tensors do not belong to this model.
    """
    base = move_to(_filled(options, model), x_NCHW.device)["base"].eval()
    with torch.no_grad():
        return torch.cat([base(part_NCHW) for part_NCHW in x_NCHW.split(CHUNK)])


def _filled(options: ClassifierOptions, arrays: Arrays) -> nn.ModuleDict:
    model = build(options)
    fill_module(model, arrays)
    return model


@torch.no_grad()
def _accuracy_and_loss(model: nn.ModuleDict, examples: Examples) -> tuple[float, float]:
    model.eval()
    logits_NK = torch.cat([model["head"](model["base"](x_NCHW)) for x_NCHW in _chunks(examples)])
    labels_N = examples.labels_N
    right = (logits_NK.argmax(dim=1) == labels_N).float().mean().item()
    return right, F.cross_entropy(logits_NK, labels_N).item()


def _chunks(examples: Examples) -> Iterator[Tensor]:
    return map(to_pictures, examples.pixels_NCHW.split(CHUNK))
