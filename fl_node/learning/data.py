"""Pictures in: the known data sets and any folder, as one array of bytes."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fl_node.errors import DataUnusable
from fl_node.seeds import derive_seed

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
"""Of the pictures in a folder. Pillow opens more; for one of these, EPS, it starts another program."""
DATASETS = ("digits", "cifar10", "mnist", "fashion-mnist")
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "F"})
"""Pillow's modes without colour."""
THUMBNAIL, GREY_NOISE = 16, 24
"""A picture has colours if the channels of its thumbnail, `THUMBNAIL` pixels on a side, differ by more than
`GREY_NOISE`: JPEG changes grey pictures by less."""
MIN_IMAGES = 4
TEST_EVERY = 6
"""One in six digits is a test picture; this number keeps the classes about equally frequent in both parts."""


@dataclass(frozen=True, slots=True)
class Images:
    """Pictures and, where known, their classes.

    Attributes:
        pixels_NCHW: uint8, 0 to 255; square. Training scales them to [-1, 1].
        labels_N: int64, from 0; None if the data has no classes.
    """

    pixels_NCHW: NDArray[np.uint8]
    labels_N: NDArray[np.int64] | None

    def subset(self, indices: NDArray[np.int64]) -> Images:
        """The pictures at these positions."""
        labels_N = None if self.labels_N is None else self.labels_N[indices]
        return Images(self.pixels_NCHW[indices], labels_N)


class Shape(Protocol):
    """Channels, and pixels on each side of square pictures."""

    @property
    def channels(self) -> int: ...
    @property
    def size(self) -> int: ...


def load_images(spec: str, shape: Shape, cache: Path | None = None) -> Images:
    """Load the training pictures of a data set, all converted to the same shape.

    Args:
        spec: `digits` (comes with scikit-learn, without download), `cifar10`, `mnist`, `fashion-mnist` (downloaded
            once), or `folder:PATH`: pictures in a folder, or in one sub-folder for each class. Files that are not
            pictures are skipped with a warning.
        shape: The shape to which every picture is converted; any `Options` has one.
        cache: Folder for downloads; by default the user's cache folder.

    Raises:
        DataUnusable: The name is unknown, there are no pictures, they have colours but the task is grey, or a download
            failed.
    """
    return _load(spec, shape, cache, train=True)


def load_test_images(spec: str, shape: Shape, cache: Path | None = None) -> Images:
    """Load the data set's test split, whose pictures `load_images` never gives.

    For `digits`, which has no test split, it is every sixth picture. A folder is used completely, so it must not be a
    member's. Otherwise as `load_images`.
    """
    return _load(spec, shape, cache, train=False)


def split_held_out(
    count: int, held_out: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose which samples are held out from training: at least 2, leaving at least 2 for training.

    Args:
        count: Total number of samples.
        held_out: Share to hold out, above 0 and below 1.
        seed: The manifest's seed, so that the same samples are held out in every round.

    Returns:
        Indices of the held-out samples, in random order, so that the first ones are representative whatever the order
        of the data; and indices of the others, ascending.

    Raises:
        DataUnusable: Fewer than 4 samples.
    """
    if count < MIN_IMAGES:
        raise DataUnusable(f"{count} pictures; at least {MIN_IMAGES} are needed")
    chosen = min(max(2, round(count * held_out)), count - 2)
    order = np.random.default_rng(derive_seed(seed, "held-out")).permutation(count)
    return order[:chosen], np.sort(order[chosen:])


def verify_images(images: Images, shape: Shape) -> None:
    """Check that pictures have the model's shape.

    Raises:
        DataUnusable: Channels or size differ, or the values are not uint8.
    """
    expected = (shape.channels, shape.size, shape.size)
    actual = images.pixels_NCHW
    if actual.shape[1:] != expected or actual.dtype != np.uint8:
        raise DataUnusable(
            f"pictures: expected uint8 {expected}, got {actual.dtype} {actual.shape[1:]}"
        )


def _load(spec: str, shape: Shape, cache: Path | None, train: bool) -> Images:
    kind, _, path = spec.partition(":")
    if kind == "folder" and path:
        return _from_folder(Path(path).expanduser(), shape)
    if spec not in DATASETS:
        raise DataUnusable(
            f"data set {spec!r} is unknown; allowed: {', '.join(DATASETS)}, folder:PATH"
        )
    pairs = _digits(train) if spec == "digits" else _torchvision(spec, cache, train)
    return _stack(pairs, shape)


def _digits(train: bool) -> Iterator[tuple[Image.Image, int]]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    # 8x8 with values 0 to 16.
    pixels_NHW = np.round(digits.images * (255 / 16)).astype(np.uint8)
    for index, (pixels_HW, label) in enumerate(zip(pixels_NHW, digits.target, strict=True)):
        if (index % TEST_EVERY != TEST_EVERY - 1) == train:
            yield Image.fromarray(pixels_HW), int(label)


def _torchvision(spec: str, cache: Path | None, train: bool) -> Iterable[tuple[Image.Image, int]]:
    from platformdirs import user_cache_path
    from torchvision import datasets

    kinds: dict[str, Any] = {
        "cifar10": datasets.CIFAR10,
        "mnist": datasets.MNIST,
        "fashion-mnist": datasets.FashionMNIST,
    }
    folder = cache or user_cache_path("ganchor")
    try:
        return kinds[spec](folder, train=train, download=True)
    except (OSError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[:1]
        raise DataUnusable(
            f"data set {spec!r} could not be downloaded to {folder}: {''.join(reason)}"
        ) from None


def _from_folder(folder: Path, shape: Shape) -> Images:
    if not folder.is_dir():
        raise DataUnusable(f"{folder} is not a folder")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name[0] != ".")
    opened = [(_open_picture(path, shape), path) for path in files]
    found = [(picture, path) for picture, path in opened if picture is not None]
    if len(found) < len(files):
        warnings.warn(
            f"{folder}: {len(files) - len(found)} of {len(files)} files left out: no pictures",
            stacklevel=4,
        )
    if not found:
        raise DataUnusable(f"{folder} holds no pictures")
    return Images(np.stack([picture for picture, _ in found]), _folder_labels(folder, found))


def _folder_labels(folder: Path, found: list[tuple[Any, Path]]) -> NDArray[np.int64] | None:
    """A picture's class is its first sub-folder; if any picture lies directly in the folder, there are no classes."""
    parts = [path.relative_to(folder).parts for _, path in found]
    if any(len(names) == 1 for names in parts):
        return None
    classes = sorted({names[0] for names in parts})
    return np.array([classes.index(names[0]) for names in parts], np.int64)


def _open_picture(path: Path, shape: Shape) -> NDArray[np.uint8] | None:
    """The picture, or None if it cannot be read, or is too large to be decoded safely, or of another format."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as picture:
                return _fit(picture, shape)
    except DataUnusable as trouble:
        raise DataUnusable(f"{path}: {trouble}") from None
    except (
        OSError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombError,
        Image.DecompressionBombWarning,
    ):
        return None


def _stack(pairs: Iterable[tuple[Image.Image, int]], shape: Shape) -> Images:
    fitted = [(_fit(picture, shape), label) for picture, label in pairs]
    pixels_NCHW = np.stack([pixels for pixels, _ in fitted])
    return Images(pixels_NCHW, np.array([label for _, label in fitted], np.int64))


def _fit(picture: Image.Image, shape: Shape) -> NDArray[np.uint8]:
    """Crop the central square and resize it with bicubic interpolation; CHW.

    Raises:
        DataUnusable: The picture has colours, but the shape is grey: dropping colours must be somebody's decision.
    """
    if shape.channels == 1 and _has_colour(picture):
        raise DataUnusable(
            "the picture has colours, but the task's pictures are grey (data.channels = 1): "
            "make the pictures grey, or open a task with data.channels = 3"
        )
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.convert("L" if shape.channels == 1 else "RGB").crop(
        (left, top, left + side, top + side)
    )
    resized = square.resize((shape.size, shape.size), Image.Resampling.BICUBIC)
    pixels = np.asarray(resized, np.uint8)
    return pixels[None] if shape.channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _has_colour(picture: Image.Image) -> bool:
    if picture.mode in GREY_MODES:
        return False
    small = picture.convert("RGB").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    x_HWC = np.asarray(small, np.int16)
    return bool(np.ptp(x_HWC, axis=2).max() > GREY_NOISE)
