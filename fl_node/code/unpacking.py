"""Writes a task's code where Python can import it."""

from __future__ import annotations

from pathlib import Path

from fl_node.code.blob import Code
from fl_node.code.requirements import verify_platform
from fl_node.errors import BlobMalformed, CodeRefused


def unpack(code: Code, folder: Path, module: str) -> None:
    """Write the code's files into an empty folder, which is to be put on `sys.path`.

    Args:
        code: As `read_code` returned it; its names stay inside the folder.
        folder: Exists, and is nobody else's.
        module: The module of the learner's `entry`, which a single file becomes: `chest` becomes `chest.py`.

    Raises:
        CodeRefused: A wheel for another platform, a damaged archive, a module that a single file cannot be, or no
            space on the disk.
    """
    verify_platform(code)
    if code.kind == "file" and not module.isidentifier():
        raise CodeRefused(
            f"the task's code is a single file, which cannot be the module {module[:100]!r}"
        )
    try:
        for name, content in code.contents():
            path = folder / (f"{module}.py" if code.kind == "file" else name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    except BlobMalformed as error:
        raise CodeRefused(f"the task's code {code.digest.hex()}: {error}") from None
    except OSError as error:
        raise CodeRefused(
            f"{folder}: the task's code cannot be unpacked: {error.strerror}"
        ) from None
