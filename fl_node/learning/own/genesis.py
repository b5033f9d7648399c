"""The model that a task with a user's code starts from: all of its tensors, and whether they fit the code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fl_node.arrays import Array, Arrays
from fl_node.child.setup import Setup
from fl_node.errors import Misuse
from fl_node.learner import OPTIMISER
from fl_node.learning.calling import calling
from fl_node.learning.own.entry import load, load_learner
from fl_node.learning.own.options import own_options
from fl_node.learning.randomness import seeded
from fl_node.learning.tensors import all_tensors
from fl_node.learning.torch_learner import TorchLearner, verify_written
from fl_node.learning.transfer import array_dtype, to_arrays


def build_genesis(setup: Setup) -> dict[str, Array]:
    """All tensors of the model that a task starts from, as its code makes them. The same seed makes the same.

    They come from the callable `setup.genesis`, which gives a module or a state dict, or else from the entry's `build`.

    Raises:
        CodeRefused: The code cannot be imported.
        Misuse: The code raises an error, or gives no model, or one that does not fit the entry's.
    """
    model = load_learner(setup.entry)
    if not setup.genesis:
        return own_genesis(model, setup)
    make = load(setup.genesis)
    with seeded(setup.seed, "genesis"), calling(f"{setup.genesis}()", Misuse):
        arrays = to_arrays(tensors_of(f"{setup.genesis}()", make()))
    verify_fits(arrays, _built(model, setup))
    return arrays


def own_genesis(model: TorchLearner, setup: Setup) -> dict[str, Array]:
    """All tensors of a model that is at hand, as its `build` makes them; otherwise as `build_genesis`."""
    return to_arrays(_built(model, setup))


def _built(model: TorchLearner, setup: Setup) -> dict[str, Tensor]:
    verify_written(model)
    with seeded(setup.seed, "genesis"), calling("build()", Misuse):
        return tensors_of("build()", model.build(own_options(setup).knobs))


def tensors_of(source: str, model: Any) -> dict[str, Tensor]:
    """The tensors of a module or of a state dict, which a blob can hold.

    Args:
        source: Where the model comes from, for errors.
        model: Anything.

    Raises:
        Misuse: It is neither; or a tensor has a dtype or name that is not allowed, or no element.
    """
    if isinstance(model, nn.Module):
        tensors = all_tensors(model)
    elif isinstance(model, Mapping):
        tensors = {str(name): torch.as_tensor(value) for name, value in model.items()}
    else:
        raise Misuse(
            f"{source} gave a {type(model).__name__}; a torch.nn.Module or a state dict is expected"
        )
    if not tensors:
        raise Misuse(f"{source} gave a model without tensors")
    for name, tensor in tensors.items():
        array_dtype(name, tensor.dtype)
        if not tensor.numel():
            raise Misuse(f"tensor {name!r} of shape {tuple(tensor.shape)} has no element")
        if OPTIMISER in name.split("."):
            raise Misuse(f"tensor {name!r}: {OPTIMISER!r} is reserved for optimisers; rename it")
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise Misuse(f"{source}: tensor {name!r} is not finite")
    return tensors


def verify_fits(genesis: Arrays, tensors: Mapping[str, Tensor]) -> None:
    """Check that a genesis is one of the code's model.

    Raises:
        Misuse: Names, shapes or dtypes differ; it names the first difference.
    """
    for name in sorted(genesis.keys() | tensors.keys()):
        if name not in genesis:
            raise Misuse(f"the genesis lacks {name!r}, which the code's model has")
        if name not in tensors:
            raise Misuse(f"the genesis has {name!r}, which the code's model lacks")
        array, shape = genesis[name], tuple(tensors[name].shape)
        dtype: np.dtype = array_dtype(name, tensors[name].dtype)
        if array.shape != shape or array.dtype != dtype:
            raise Misuse(
                f"the genesis does not fit the code: {name!r} is {array.dtype} {array.shape} in the genesis, "
                f"{dtype} {shape} in the code"
            )
