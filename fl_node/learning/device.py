"""Where to train, and what that implies for repeatability."""

from __future__ import annotations

import torch

from fl_node.errors import DeviceUnusable


def choose_device(name: str | None = None) -> torch.device:
    """The device that was asked for, or the fastest kind there is: cuda, then mps, then cpu.

    Args:
        name: As torch writes it, such as `cpu` or `cuda:1`; None chooses.

    Raises:
        DeviceUnusable: No such device here.
    """
    if name is None:
        return torch.device(next(kind for kind in ("cuda", "mps", "cpu") if _count(kind)))
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceUnusable(f"device {name!r} is not known; {_allowed()}") from None
    if (device.index or 0) >= _count(device.type):
        raise DeviceUnusable(f"device {name!r} is not here; {_allowed()}")
    return device


def prepare(device: torch.device, threads: int | None = None) -> None:
    """Set up this process for training.

    On the CPU the same input gives the same bytes, for one number of threads: sums are split differently over more.
    CUDA is set up for speed; its results vary in the last bits.

    Args:
        device: As `choose_device` gives it.
        threads: CPU threads, > 0; None leaves torch's choice.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    # As `use_deterministic_algorithms` does, which also spends seconds on importing the compiler.
    torch.set_deterministic_debug_mode("error" if device.type == "cpu" else "default")
    torch.backends.cudnn.benchmark = device.type == "cuda"


def release(device: torch.device) -> None:
    """Give back the GPU memory that torch keeps for later: other nodes may train there while this one waits."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _count(kind: str) -> int:
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    return int(kind == "cpu")


def _allowed() -> str:
    return f"usable are: {', '.join(kind for kind in ('cuda', 'mps', 'cpu') if _count(kind))}"
