"""A trained model taken out of the federation: its networks, and a file that PyTorch alone can read."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import torch
from torch import nn

from fl_node.arrays import Arrays
from fl_node.learning.kinds import kind_of
from fl_node.learning.options import Options


def network(options: Options) -> nn.ModuleDict:
    """The modules of a model, whose weights `load_state_dict` fills; names as in a model blob.

    A GAN has `generator`, `discriminator` and, if an average is kept, `generator_ema`; a classifier `base` and `head`.
    """
    return kind_of(options).build(options)


def write_state_dict(arrays: Arrays, path: Path) -> None:
    """Write arrays as a state dict, which `torch.load(path, weights_only=True)` reads: tensors by name, no code.

    Raises:
        OSError: As the system says.
    """
    tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    with path.open("wb") as file:
        torch.save(tensors, file)


def described(options: Options) -> str:
    """The options as a line of Python that makes them again; of knobs that training alone needs, and defaults, none."""
    training = {"held_out", "share", "extractor", "extractor_weights", "penalty", "loss", "batch", "beta1", "beta2",
                "optimiser", "rate", "generator_rate", "discriminator_rate", "momentum", "weight_decay"}  # fmt: skip
    defaults = type(options)()
    given = [
        f"{field.name}={getattr(options, field.name)!r}"
        for field in fields(options)
        if field.name not in training
        and getattr(options, field.name) != getattr(defaults, field.name)
    ]
    return f"{type(options).__name__}({', '.join(given)})"
