"""The experiments' data: the digits, and CIFAR-10 from its two zipped image folders, decoded once."""

from __future__ import annotations

import os
import tempfile
import zipfile
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from platformdirs import user_cache_path

from fl_node.errors import DataUnusable
from fl_node.learning.data import Images, Shape, load_images, load_test_images
from fl_node.seeds import derive_seed

CIFAR10_VARIABLE = "GANCHOR_CIFAR10"
"""Environment variable with the folder that contains train.zip and test.zip, each with a sub-folder for each class."""

CHANNELS = {"digits": 1, "cifar10": 3}
"""The data sets, and the channels of their pictures."""


class _Shape(NamedTuple):
    """Channels and size of square pictures."""

    channels: int
    size: int


def training_pictures(data: str, shape: Shape, limit: int | None = None) -> Images:
    """The pictures that are partitioned between the members.

    Args:
        data: `digits` or `cifar10`.
        shape: The shape to which every picture is converted.
        limit: Number of pictures, always the same ones; None for all.

    Raises:
        DataUnusable: CIFAR-10 is not in the folder that the environment names.
    """
    return _limited(_whole(data, "train", shape.channels, shape.size), limit)


def unseen_pictures(data: str, shape: Shape, limit: int | None = None) -> Images:
    """The pictures that no member trains on; otherwise as `training_pictures`."""
    return _limited(_whole(data, "test", shape.channels, shape.size), limit)


@lru_cache(maxsize=4)  # A process makes many runs, most of them on the same pictures.
def _whole(data: str, split: str, channels: int, size: int) -> Images:
    shape = _Shape(channels, size)
    if data == "cifar10":
        return _cifar10(split, shape)
    return load_images(data, shape) if split == "train" else load_test_images(data, shape)


def _limited(images: Images, limit: int | None) -> Images:
    count = len(images.pixels_NCHW)
    if limit is None or limit >= count:
        return images
    order = np.random.default_rng(derive_seed(0, "subset")).permutation(count)
    return images.subset(np.sort(order[:limit]))


def _cifar10(split: str, shape: Shape) -> Images:
    """CIFAR-10's pictures. Decoding them takes long, so the arrays are cached in a file for each archive and size."""
    archive = _folder() / f"{split}.zip"
    if not archive.is_file():
        raise DataUnusable(f"{archive} is not a file; {CIFAR10_VARIABLE} names its folder")
    stamp = f"{archive.stat().st_size}-{shape.channels}x{shape.size}"
    cached = user_cache_path("ganchor") / "experiments" / f"cifar10-{split}-{stamp}.npz"
    if not cached.is_file():
        _decode(archive, shape, cached)
    with np.load(cached, allow_pickle=False) as arrays:
        return Images(arrays["pixels"], arrays["labels"])


def _folder() -> Path:
    given = os.environ.get(CIFAR10_VARIABLE)
    if not given:
        raise DataUnusable(
            f"set --data cifar10:PATH or {CIFAR10_VARIABLE} to the folder with train.zip and test.zip"
        )
    return Path(given).expanduser()


def _decode(archive: Path, shape: Shape, cached: Path) -> None:
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(archive) as zipped:
        zipped.extractall(folder)
        (top,) = (path for path in Path(folder).iterdir() if path.is_dir())
        images = load_images(f"folder:{top}", shape)
    cached.parent.mkdir(parents=True, exist_ok=True)
    # Written to another file and renamed, so that simultaneous runs never read an incomplete file.
    partial = cached.with_suffix(f".{os.getpid()}.npz")
    np.savez(partial, pixels=images.pixels_NCHW, labels=images.labels_N)
    partial.replace(cached)
