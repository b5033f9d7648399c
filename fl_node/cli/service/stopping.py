"""How a node is stopped: SIGTERM, and Ctrl-C, end its work where it stands, and it leaves in order.

A node can be killed at any point and started again, so stopping needs no protocol. But its `with` blocks end its child
process, and release its folder, only if Python gets to run them.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread, current_thread, main_thread
from types import FrameType

from fl_node.cli.exits import INTERRUPTED, STOPPED, Stopped

GRACE_SECONDS = 8.0
"""How long leaving may take. Container engines kill after 10 s."""

_CODES = {signal.SIGTERM: STOPPED, signal.SIGINT: INTERRUPTED}


@contextmanager
def stoppable(grace: float = GRACE_SECONDS) -> Iterator[None]:
    """Inside, SIGTERM raises `Stopped`. If the process is still there `grace` seconds later, it exits at once.

    The second part is for a signal that arrives while the main thread waits inside a library that does not return, such
    as one that sends a large blob: Python would run the handler only when it does.
    """
    if current_thread() is not main_thread():
        yield
        return
    listening, telling = socket.socketpair()
    telling.setblocking(False)
    before = signal.signal(signal.SIGTERM, _stop)
    told_before = signal.set_wakeup_fd(telling.fileno(), warn_on_full_buffer=False)
    Thread(target=_exit_in_time, args=(listening, grace), daemon=True, name="stopping").start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(told_before)
        signal.signal(signal.SIGTERM, before)
        telling.close()


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # Once is enough: a second must not disturb the leaving.
    raise Stopped


def _exit_in_time(listening: socket.socket, grace: float) -> None:
    """Read the numbers of the signals as they arrive; after one of ours, end the process in time."""
    with listening:
        while number := listening.recv(1):
            if number[0] in _CODES:
                time.sleep(grace)
                os._exit(_CODES[signal.Signals(number[0])])
