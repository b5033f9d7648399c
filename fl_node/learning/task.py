"""From a manifest to what a member trains with: the genesis, its part of the data, its learner."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from fl_node.arrays import Arrays
from fl_node.blobs.global_state import first_state
from fl_node.blobs.model import load_model
from fl_node.blobs.store import Store
from fl_node.errors import BadData, Misuse
from fl_node.learner import Learner
from fl_node.learning import learner
from fl_node.learning.data import Images, load_images
from fl_node.learning.genesis import genesis
from fl_node.learning.kinds import kind_of, learning_options
from fl_node.learning.partition import parse_partition, partition
from fl_node.learning.tensors import shared_part
from fl_node.manifest.manifest import Manifest
from fl_node.seeds import derive_seed
from fl_node.strategy.train import EdgeLearner


def derive_genesis(manifest: Manifest) -> Arrays:
    """The global state that a manifest's task starts from.

    Raises:
        ManifestInvalid: A pattern of `strategy.share` matches no tensor.
    """
    model = genesis(learning_options(manifest), manifest.seed)
    shared = shared_part(model, manifest.strategy.share)
    return first_state(shared, manifest.strategy.slots)


def load_data(manifest: Manifest, data: str) -> Images:
    """The pictures that `--data` names, in the manifest's shape.

    Raises:
        DataUnusable: Unknown or empty data, or a download that failed.
    """
    return load_images(data, learning_options(manifest))


def part_of(manifest: Manifest, images: Images, rule: str, index: int, count: int) -> Images:
    """One member's part of a data set; the same for the same manifest seed.

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
    if labels is None:  # Pictures without classes are all of one.
        labels = np.zeros(len(images.pixels_NCHW), np.int64)
    parts = partition(parse_partition(rule), labels, count, seed)
    return [images.subset(part) for part in parts]


def extractor_weights(manifest: Manifest, store: Store | None) -> Arrays | None:
    """The stored tensors of the extractor that the manifest's learner compares pictures by.

    Args:
        manifest: The task.
        store: The task's; None where the command has none.

    Returns:
        None where none are stored: they follow from the seed, or the learner compares no pictures.

    Raises:
        Misuse: The manifest names a digest, and there is no store, or the store does not have it.
    """
    extractor = manifest.learner.compared_by
    if extractor is None or not extractor.digest:
        return None
    if store is None:
        raise Misuse(
            f"the manifest's extractor {extractor.digest} is in the task's store: give --store"
        )
    try:
        digest = bytes.fromhex(extractor.digest)
        return load_model(store, digest, manifest.limits.model_bytes).arrays
    except BadData as trouble:
        raise Misuse(f"the manifest's extractor: {trouble}") from None


def drawing_of(manifest: Manifest) -> Callable[[Arrays, Path, int], None]:
    """How models of a task draw: (shared tensors, PNG file to write, seed) to a grid of samples.

    The same seed gives the same noise, so that progress can be seen from round to round.

    Raises:
        Misuse: This kind of model draws no pictures. The function itself raises it for the tensors of another model.
    """
    options = learning_options(manifest)
    draw = kind_of(options).draw
    if draw is None:
        raise Misuse(f"a {manifest.learner.kind} draws no pictures")
    return partial(draw, options)


def make_learner(
    manifest: Manifest,
    images: Images,
    device: str | None = None,
    threads: int = 1,
    store: Store | None = None,
) -> Learner:
    """The learner of one member, on its own pictures; an edge node with its devices, where the manifest asks for one.

    Args:
        manifest: The task.
        images: The member's own, or its part of a data set.
        device: cpu, cuda, cuda:N or mps; None takes the best that is there.
        threads: Of the CPU; more are faster, and other numbers of them give other bytes.
        store: The task's, where the manifest names an extractor that is stored.

    Raises:
        DataUnusable: Too few pictures.
        DeviceUnusable: No such device.
        Misuse: As `extractor_weights`.
    """
    options = learning_options(manifest, extractor_weights(manifest, store))

    def on(part: Images) -> Learner:
        return learner.make_learner(options, manifest.seed, part, device, threads)

    work = manifest.strategy.work
    if work.devices == work.edge_rounds == 1:
        return on(images)
    parts = partitioned(images, "iid", work.devices, derive_seed(manifest.seed, "devices"))
    return EdgeLearner([on(part) for part in parts], work.edge_rounds)
