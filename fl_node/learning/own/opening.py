"""A member's learner with a user's own model, on the member's part of the data."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

import numpy as np

from fl_node.arrays import Arrays
from fl_node.child.setup import Setup
from fl_node.errors import DataUnusable
from fl_node.learning.calling import calling
from fl_node.learning.data import split_held_out
from fl_node.learning.device import choose_device, prepare
from fl_node.learning.examples import Split, Streamed, Tensors, as_examples
from fl_node.learning.learner import MemberLearner
from fl_node.learning.own.entry import load_learner
from fl_node.learning.own.genesis import tensors_of, verify_fits
from fl_node.learning.own.options import own_options
from fl_node.learning.partition import parse_partition, partition
from fl_node.learning.randomness import seeded
from fl_node.learning.torch_learner import TorchLearner, verify_written
from fl_node.learning.workplace import workplace
from fl_node.seeds import derive_seed
from fl_node.strategy.sharing import shared_names

Local = Tensors | Streamed
"""A member's examples."""


def open_learner(setup: Setup, genesis: Arrays) -> MemberLearner:
    """A member's learner. The task's code is importable already.

    Args:
        setup: The learner and the member's data.
        genesis: All tensors of the model that the task starts from; those that are not shared are kept in memory.

    Raises:
        CodeRefused: The code cannot be imported.
        DataUnusable: The code's `data` raises an error, or gives too few examples or none of the allowed forms.
        DeviceUnusable: This machine has no such device.
        ManifestInvalid: A pattern of `setup.share` matches no tensor.
        Misuse: The code lacks something, or raises an error; or the genesis does not fit it, in the first difference.
    """
    return own_learner(load_learner(setup.entry), setup, genesis)


def own_learner(model: TorchLearner, setup: Setup, genesis: Arrays) -> MemberLearner:
    """A member's learner with a model that is at hand, whatever the setup's entry; otherwise as `open_learner`."""
    options, device = own_options(setup), choose_device(setup.device)
    verify_written(model)
    prepare(device, setup.threads)
    place = workplace(model, options, device)
    tensors_of("build()", place.training.model)
    verify_fits(genesis, place.tensors)
    shared = shared_names(genesis, setup.share)
    with seeded(setup.seed, "data"), calling("data()", DataUnusable):
        data = model.data(setup.data, options.knobs)
    training, held_out = _split(data, setup)
    return MemberLearner(
        model,
        options,
        setup.seed,
        training.on(device),
        held_out.on(device),
        tuple(genesis),
        partial(_chosen, {name: genesis[name] for name in genesis if name not in shared}),
        device,
        setup.threads,
    )


def _split(data: Any, setup: Setup) -> tuple[Local, Local]:
    """The member's examples to train on, and those that are held out."""
    if isinstance(data, Split):
        return _part(as_examples(data.training), setup), _part(as_examples(data.held_out), setup)
    examples = _part(as_examples(data), setup)
    held_out, kept = split_held_out(len(examples), float(setup.held_out), setup.seed)
    return examples.subset(kept), examples.subset(held_out)


def _part(examples: Local, setup: Setup) -> Local:
    """A member's part. Examples without classes count as a single class."""
    if setup.count == 1:
        return examples
    labels_N = examples.classes
    if labels_N is None:
        labels_N = np.zeros(len(examples), np.int64)
    seed = derive_seed(setup.seed, "partition")
    parts = partition(parse_partition(setup.rule), labels_N, setup.count, seed)
    return examples.subset(parts[setup.index])


def _chosen(arrays: Arrays, names: Collection[str]) -> Arrays:
    return {name: arrays[name] for name in names}
