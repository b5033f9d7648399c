"""A trained model taken out of the federation: its networks, and a file that PyTorch alone can read."""

from __future__ import annotations

import io

import torch
from torch import nn

from fl_node.arrays import Arrays
from fl_node.learning.kinds import kind_of, learning_options
from fl_node.manifest.learners import LearnerChoice
from fl_node.manifest.manifest import DataSchema, Manifest
from fl_node.strategy.strategy import Strategy


def network(data: DataSchema, learner: LearnerChoice) -> nn.ModuleDict:
    """The modules of a model, whose weights `load_state_dict` fills; names as in a model blob.

    A GAN has `generator`, `discriminator` and, if an average is kept, `generator_ema`; a classifier `base` and `head`.

    Args:
        data, learner: The sections of the manifest.
    """
    options = learning_options(
        Manifest.model_construct(data=data, learner=learner, strategy=Strategy())
    )
    return kind_of(options).build(options)


def state_dict_file(arrays: Arrays) -> bytes:
    """A state dict's file, which `torch.load(path, weights_only=True)` reads: tensors by name, no code."""
    tensors = {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
    file = io.BytesIO()
    torch.save(tensors, file)
    return file.getvalue()
