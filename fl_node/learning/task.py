"""From a manifest to training: the genesis, a member's part of the data, and its learner."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from fl_node.arrays import Arrays
from fl_node.blobs.model import load_model
from fl_node.blobs.store import Store
from fl_node.errors import BadData, Misuse
from fl_node.learner import Learner
from fl_node.learning import learner
from fl_node.learning.data import Images
from fl_node.learning.genesis import genesis
from fl_node.learning.kinds import kind_of, learning_options
from fl_node.learning.partition import parse_partition, partition
from fl_node.learning.sampling import sample_grid
from fl_node.manifest.manifest import Manifest
from fl_node.round.genesis import genesis_state
from fl_node.seeds import derive_seed
from fl_node.strategy.train import EdgeLearner


def derive_genesis(manifest: Manifest) -> Arrays:
    """The global state that a manifest's task starts from.

    Raises:
        ManifestInvalid: As for `genesis_state`.
    """
    return genesis_state(manifest, genesis(learning_options(manifest), manifest.seed))


def load_data(manifest: Manifest, data: str) -> Images:
    """The pictures that `--data` names, in the manifest's shape.

    Raises:
        DataUnusable: Unknown or empty data, or a download that failed.
    """
    options = learning_options(manifest)
    return kind_of(options).learner.data(data, options)


def part_of(manifest: Manifest, images: Images, rule: str, index: int, count: int) -> Images:
    """One member's part of a data set. The same manifest seed gives the same parts.

    Args:
        manifest: Gives the seed.
        images: The whole data set.
        rule: As `--partition` takes it.
        index: Which part, from 0.
        count: Number of parts, > 0.

    Raises:
        DataUnusable: The data cannot be partitioned in this way.
    """
    return partitioned(images, rule, count, derive_seed(manifest.seed, "partition"))[index]


def partitioned(images: Images, rule: str, count: int, seed: int) -> list[Images]:
    """Cut a data set into parts.

    Args:
        images: The whole data set.
        rule: As `--partition` takes it.
        count: Number of parts, > 0.
        seed: The same seed gives the same parts.

    Raises:
        DataUnusable: The data cannot be partitioned in this way.
    """
    if count == 1:
        return [images]
    labels = images.labels_N
    if labels is None:  # Pictures without classes count as a single class.
        labels = np.zeros(len(images.pixels_NCHW), np.int64)
    parts = partition(parse_partition(rule), labels, count, seed)
    return [images.subset(part) for part in parts]


def extractor_weights(manifest: Manifest, store: Store | None) -> Arrays | None:
    """The stored tensors of the extractor with which the manifest's learner compares pictures.

    Args:
        manifest: The task.
        store: The task's store; None if the command has none.

    Returns:
        None if no weights are stored: they follow from the seed, or the learner compares no pictures.

    Raises:
        Misuse: The manifest names a digest, but there is no store, or the store does not have it.
    """
    extractor = manifest.learner.compared_by
    if extractor is None or not extractor.digest:
        return None
    if store is None:
        raise Misuse(
            f"the manifest's extractor {extractor.digest} lies in the task's store: give --store"
        )
    try:
        digest = bytes.fromhex(extractor.digest)
        return load_model(store, digest, manifest.limits.model_bytes).arrays
    except BadData as trouble:
        raise Misuse(f"the manifest's extractor: {trouble}") from None


def drawing_of(manifest: Manifest) -> Callable[[Arrays, Path, int], None]:
    """The function (shared tensors, path, seed) that draws a grid of samples of a task's model into a PNG file.

    The same seed gives the same noise, so that pictures of different rounds can be compared.

    Raises:
        Misuse: This kind of model cannot draw. The function raises it too, for the tensors of another model.
    """
    options = learning_options(manifest)
    sampler = kind_of(options).sampler
    if sampler is None:
        raise Misuse(f"a {manifest.learner.kind} draws no pictures")

    def draw(model: Arrays, path: Path, seed: int) -> None:
        sample_grid(sampler(options, model, torch.device("cpu")), path, seed)

    return draw


def make_learner(
    manifest: Manifest,
    images: Images,
    device: str | None = None,
    threads: int = 1,
    store: Store | None = None,
) -> Learner:
    """One member's learner on its own pictures: a single one, or an edge node with devices if the manifest asks for it.

    Args:
        manifest: The task.
        images: The member's own pictures, or its part of a data set.
        device: cpu, cuda, cuda:N or mps; None uses the fastest kind that is available.
        threads: CPU threads, > 0. More are faster, but another number gives other bytes.
        store: The task's store, needed if the manifest names a stored extractor.

    Raises:
        DataUnusable: There are too few pictures.
        DeviceUnusable: This machine has no such device.
        Misuse: As for `extractor_weights`.
    """
    options = learning_options(manifest, extractor_weights(manifest, store))

    def on(part: Images) -> Learner:
        return learner.make_learner(options, manifest.seed, part, device, threads)

    work = manifest.strategy.work
    if work.devices == work.edge_rounds == 1:
        return on(images)
    parts = partitioned(images, "iid", work.devices, derive_seed(manifest.seed, "devices"))
    return EdgeLearner([on(part) for part in parts], work.edge_rounds)
