"""Walks of the pages: a page's files and commands as they stand there, in an empty folder, on a chain of their own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

from pages import blocks
from ports import free_port

UV = """\
#!/bin/sh
# `uv run` is this very environment, and the page's chain listens at a port of its own.
shift
if [ "$1 $2" = "ganchor devnet" ]; then set -- "$@" --port {port}; fi
exec "$@"
"""
SECONDS = 560


def walk(page: str, folder: Path, more: str = "") -> str:
    """Write the page's files, and run all of its commands in one shell, in order.

    Args:
        page: The page's text. A block of Python begins with a comment that names its file.
        folder: Empty; where the commands run.
        more: Commands to run after those of the page.

    Returns:
        What was printed.
    """
    for script in blocks(page, "py"):
        (folder / script.split()[1]).write_text(script)
    port = free_port()
    output, programs = folder / "output", folder / "programs"
    programs.mkdir()
    (programs / "uv").write_text(UV.format(port=port))
    (programs / "uv").chmod(0o755)
    here = [str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]
    with output.open("wb") as printing:
        process = subprocess.Popen(
            ["bash", "-c", "\n".join(["set -eux", *blocks(page, "sh"), more])],
            cwd=folder,
            env={
                **os.environ,
                "PATH": os.pathsep.join(here),
                "ETH_RPC_URL": f"http://127.0.0.1:{port}",
            },
            stdout=printing,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(SECONDS)
    code = process.poll()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # What the walk left, such as its chain.
    process.wait()
    logs = "".join(f"--- {log.name}\n{log.read_text()}" for log in sorted(folder.glob("*.log")))
    printed = output.read_text()
    assert code == 0, f"{printed}\nended with {code}\n{logs}"
    return printed
