"""The device to train on, and what that means for repeatability."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from fl_node.errors import DeviceUnusable


def choose_device(name: str | None = None) -> torch.device:
    """The named device, or the fastest available kind: cuda, then mps, then cpu.

    Args:
        name: A torch device name, such as `cpu` or `cuda:1`; None chooses the fastest kind.

    Raises:
        DeviceUnusable: This machine has no such device.
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


def described(device: torch.device) -> str:
    """A device in words, such as `cuda:0, NVIDIA H200, 139 GiB`."""
    if device.type != "cuda":
        return str(device)
    found = torch.cuda.get_device_properties(device)
    return f"{device}, {found.name}, {found.total_memory >> 30} GiB"


def prepare(device: torch.device, threads: int | None = None) -> None:
    """Set up this process for training.

    On the CPU, the same input and number of threads give the same bytes; another number of threads splits sums
    differently. CUDA is set up for speed, and its results vary in the last bits.

    Args:
        device: From `choose_device`.
        threads: CPU threads, > 0; None keeps torch's default.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    # The same as `use_deterministic_algorithms`, which also spends seconds importing the compiler.
    torch.set_deterministic_debug_mode("error" if device.type == "cpu" else "default")


@contextmanager
def tuned_convolutions(device: torch.device) -> Iterator[None]:
    """Inside, cuDNN times its algorithms for every new shape of a convolution, and keeps the fastest.

    This pays in training, whose batches have one shape. Measurements have a last batch of any size.
    """
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = device.type == "cuda"
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def idling(
    name: str | None = None, sleep: Callable[[float], None] = time.sleep
) -> Callable[[float], None]:
    """The function with which a node waits: it first frees the GPU memory that torch caches, for other nodes.

    Args:
        name: The node's device, as for `choose_device`.
        sleep: Waits for a number of seconds.
    """
    device = choose_device(name)

    def wait(seconds: float) -> None:
        release(device)
        sleep(seconds)

    return wait


def release(device: torch.device) -> None:
    """Free the GPU memory that torch caches. This waits for the device, and the next training has to allocate anew."""
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
