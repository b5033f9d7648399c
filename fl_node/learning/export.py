"""Export of a trained model: its networks, and a file that PyTorch can read without this package."""

from __future__ import annotations

import io

import torch
from torch import nn

from fl_node.arrays import Arrays, unprefixed
from fl_node.blobs.global_state import model_of
from fl_node.learning.kinds import kind_of, learning_options
from fl_node.learning.tensors import fill_module
from fl_node.manifest.learner_choice import LearnerChoice
from fl_node.manifest.manifest import DataSchema, Manifest
from fl_node.strategy.strategy import Strategy


def build_networks(data: DataSchema, learner: LearnerChoice, state: Arrays) -> nn.ModuleDict:
    """The networks of a model with its weights, on the CPU.

    Args:
        data, learner: The sections of the manifest.
        state: The contents of a model blob; the server's state is ignored.

    Returns:
        A GAN's `generator`, `discriminator` and, if it keeps one, `generator_ema`; a classifier's `base` and `head`.
        Networks that the members do not share are left out.

    Raises:
        Misuse: The tensors do not belong to the manifest's networks.
    """
    sections = Manifest.model_construct(data=data, learner=learner, strategy=Strategy())
    options = learning_options(sections)
    networks = kind_of(options).learner.build(options)
    model = model_of(state)
    for name in tuple(networks):
        arrays = unprefixed(f"{name}.", model)
        if arrays:
            fill_module(networks[name], arrays)
        else:
            del networks[name]
    return networks


def state_dict_file(arrays: Arrays) -> bytes:
    """A state dict's file, which `torch.load(path, weights_only=True)` reads: tensors by name, no code."""
    tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    file = io.BytesIO()
    torch.save(tensors, file)
    return file.getvalue()
