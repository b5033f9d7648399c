"""Steps that are recorded once and replayed: as a CUDA graph, a step of hundreds of kernels is a single launch.

Small networks take longer to launch their kernels than to compute them, so that a GPU waits for the host. A recording
repeats the same operations on the same memory, so it serves every training of a workplace whose step is the same list.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

WARM_UP = 3
"""Steps that are taken as usual before one is recorded; in them cuDNN chooses its algorithms."""

Act = Callable[[], None]
Record = Callable[[Act], Act]
"""Records a step without taking it, and gives the function that replays it."""

_ONE_AT_A_TIME = threading.Lock()


class Recorded:
    """A step that is taken as usual at first, then recorded and replayed. Each call is one real step."""

    def __init__(self, step: Act, record: Record) -> None:
        """Take a step that keeps nothing in Python from call to call, and the way to record it."""
        self._step, self._record = step, record
        self._left = WARM_UP
        self._replay: Act | None = None

    def __call__(self) -> None:
        """Take one step."""
        if self._left:
            self._left -= 1
            self._step()
            return
        if self._replay is None:
            self._replay = self._record(self._step)
        self._replay()


def cuda_graphs(stream: torch.cuda.Stream) -> Record:
    """Records steps as CUDA graphs. Warm-up and replays have to run on the same stream: see `on_stream`.

    Source: PyTorch's notes on CUDA graphs, whole-network capture. Autograd remembers on which stream it first met a
    parameter, and a graph that had to wait for another stream could not be recorded.
    """

    def record(step: Act) -> Act:
        graph = torch.cuda.CUDAGraph()
        # "thread_local", because other threads may allocate memory in the meantime; this one may not.
        mode = torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local")
        with _ONE_AT_A_TIME, mode:
            step()
        return graph.replay

    return record


@contextmanager
def on_stream(stream: torch.cuda.Stream | None) -> Iterator[None]:
    """Inside, work is queued on the stream, after what was queued before; None changes nothing."""
    if stream is None:
        yield
        return
    current = torch.cuda.current_stream(stream.device)
    stream.wait_stream(current)
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        current.wait_stream(stream)
