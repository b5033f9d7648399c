"""What the child process has, and what it does to itself before it runs a task's code.

This keeps honest code from harm, and a node's secrets out of its reach by accident. It is no sandbox: the code runs as
the node's user (docs/protocol.md, "Threat model").
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import resource
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_PASSED = {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH",
           "TORCH_HOME", "XDG_CACHE_HOME"}  # fmt: skip
_PASSED_FAMILIES = ("LC_", "OMP_", "MKL_", "OPENBLAS_", "CUDA_", "CUBLAS_", "NVIDIA_")
_SET_DUMPABLE = 4
_OUT_OF_MEMORY = Path("/proc/self/oom_score_adj")


def environment(ours: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The child's environment: of the node's own only what is known to be needed and harmless.

    Args:
        ours: The node's environment, which may hold a keystore's password, and credentials of stores and endpoints.
        folder: The child's own.
    """
    passed = {
        name: value
        for name, value in ours.items()
        if name in _PASSED or name.startswith(_PASSED_FAMILIES)
    }
    return passed | {
        "PYTHONHASHSEED": "0",  # A set's order is the same in each training.
        "FLWR_HOME": str(folder / "flwr"),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    }


def withhold() -> None:
    """Called by the node: keep its memory, environment and open files from other processes of the same user.

    Otherwise the child could read the node's environment under /proc (prctl(2), PR_SET_DUMPABLE). Root still can, and
    there is nothing of the kind but on Linux.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_DUMPABLE, *map(ctypes.c_ulong, (0, 0, 0, 0)))


def confine(lifeline: int, *pipes: int) -> None:
    """Called by the child: no core dumps, first to go when memory runs out, and no longer alive than the parent.

    On Linux the kernel itself kills the child and all processes that it started when the parent, and with it the other
    end of the lifeline, is gone (fcntl(2), F_SETSIG). PR_SET_PDEATHSIG would kill the child alone, and already when the
    parent's *thread* ends. Elsewhere the child ends when it next reads a request.

    Args:
        lifeline: The reading end of a pipe into which nobody writes.
        pipes: The pipes of the protocol. A copy of this process that the code forks gets /dev/null in their place.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        _OUT_OF_MEMORY.write_text("1000")
    if sys.platform == "linux":
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    os.register_at_fork(after_in_child=lambda: _hide(pipes))


def _hide(pipes: tuple[int, ...]) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for pipe in pipes:
        os.dup2(nothing, pipe, inheritable=False)
    os.close(nothing)
