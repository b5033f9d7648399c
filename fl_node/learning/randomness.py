"""The process's random numbers, which a user's code draws from, and what they follow from."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from fl_node.seeds import derive_seed

_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def seeded(seed: int, *parts: int | str) -> Iterator[None]:
    """Inside, the random numbers of torch, numpy and Python follow from the seed; afterwards they go on as before.

    One thread at a time is inside, because a process has only one set of them.

    Args:
        seed: 0 to 2**63 - 1.
        parts: What the numbers are for, as for `derive_seed`.
    """
    own = derive_seed(seed, *parts)
    with _ONE_AT_A_TIME, torch.random.fork_rng(devices=_devices()):
        before, before_numpy = random.getstate(), np.random.get_state()
        torch.manual_seed(own)
        np.random.seed([own >> 32, own & 0xFFFF_FFFF])
        random.seed(own)
        try:
            yield
        finally:
            random.setstate(before)
            np.random.set_state(before_numpy)


def _devices() -> list[int]:
    """The GPUs whose random numbers are in use."""
    return list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
