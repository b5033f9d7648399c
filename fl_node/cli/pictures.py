"""Looks at pictures before training, to fill in what a manifest says about them."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from fl_node.errors import DataUnusable

UNREADABLE = (
    *(OSError, SyntaxError, ValueError),
    *(Image.DecompressionBombError, Image.DecompressionBombWarning),
)


@dataclass(frozen=True, slots=True)
class Look:
    """The properties of a data set.

    Attributes:
        channels: 1 for grey, 3 for colour.
        size: What `data.size` should be: 64 if at least half of the pictures have that many pixels on a side, else 32.
        classes: Number of classes; None if the data has none.
        count: Number of pictures; None for a data set that is not downloaded yet.
    """

    channels: Literal[1, 3]
    size: Literal[32, 64]
    classes: int | None
    count: int | None


KNOWN = {
    "digits": Look(1, 32, 10, 1498),
    "mnist": Look(1, 32, 10, 60_000),
    "fashion-mnist": Look(1, 32, 10, 60_000),
    "cifar10": Look(3, 32, 10, 50_000),
}


def look_at(data: str) -> Look:
    """Look at the data set that `--data` names. Of a folder's pictures only the first bytes are read.

    Raises:
        DataUnusable: The name is unknown, or the folder does not exist or holds no pictures.
    """
    kind, _, path = data.partition(":")
    if kind == "folder" and path:
        return _look_into(Path(path).expanduser())
    if data not in KNOWN:
        raise DataUnusable(
            f"data set {data!r} is unknown; allowed: {', '.join(KNOWN)}, folder:PATH"
        )
    return KNOWN[data]


def _look_into(folder: Path) -> Look:
    from fl_node.learning.data import GREY_MODES

    if not folder.is_dir():
        raise DataUnusable(f"{folder} is not a folder")
    seen = list(_pictures(folder))
    if not seen:
        raise DataUnusable(f"{folder} holds no pictures")
    modes = Counter("grey" if mode in GREY_MODES else "colour" for mode, _, _ in seen)
    large = sum(side >= 64 for _, side, _ in seen)
    names = {path.relative_to(folder).parts[:-1] for _, _, path in seen}
    classes = None if () in names else len({parts[0] for parts in names})
    return Look(
        channels=3 if modes["colour"] else 1,
        size=64 if 2 * large >= len(seen) else 32,
        classes=classes,
        count=len(seen),
    )


def _pictures(folder: Path) -> Iterator[tuple[str, int, Path]]:
    """Mode, shorter side in pixels and path of each picture, as training will find them."""
    from fl_node.learning.data import FORMATS  # Imports torch.

    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            with suppress(*UNREADABLE), warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                with Image.open(path, formats=FORMATS) as picture:
                    yield picture.mode, min(picture.size), path
