"""What somebody may have put where a file is expected."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

Plant = Callable[[Path], None]


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def link_to_nowhere(path: Path) -> None:
    path.symlink_to("nowhere")


def link_to_endless_zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def terabyte(path: Path) -> None:
    """A sparse one, which takes no room."""
    with path.open("wb") as file:
        file.truncate(1 << 40)


PLANTS: list[Plant] = [
    folder,
    pipe,
    link_to_itself,
    link_to_nowhere,
    link_to_endless_zeros,
    terabyte,
]


def plant_at(path: Path, plant: Plant) -> None:
    """Put it there instead of what is there."""
    if path.exists() or path.is_symlink():
        path.unlink()
    plant(path)


SPITEFUL = [
    b"\0", b"\xff", b'"', b"\\", b"[", b"{", b"]", b"}", b":", b",", b"-", b"null", b"true", b"NaN", b"1e999",
    b"9" * 5000, b"[" * 5000, b"\x1b[2J", b"\\u0000", b"0x", "\u202e".encode(),
]  # fmt: skip


def mutations(content: bytes, seed: int, count: int) -> Iterator[bytes]:
    """Altered copies of a file, the same for the same seed: bytes changed, cut out, put in, and said twice."""
    chance = random.Random(seed)
    for _ in range(count):
        altered = bytearray(content)
        for _ in range(chance.randint(1, 3)):
            start = chance.randrange(len(altered) + 1)
            end = min(len(altered), start + chance.choice([0, 1, 1, 8, 64]))
            altered[start:end] = chance.choice(
                [b"", chance.randbytes(1), chance.choice(SPITEFUL), bytes(altered[start:end]) * 2]
            )
        yield bytes(altered)


def snapshot(folder: Path) -> dict[str, tuple[object, ...]]:
    """Everything in a folder and the folder itself: content, and when each was last changed in any way."""
    return {
        str(path): (
            path.read_bytes() if path.is_file() else None,
            path.stat().st_mtime_ns,
            path.stat().st_ctime_ns,
            path.stat().st_mode,
        )
        for path in (folder, *sorted(folder.rglob("*")))
    }
