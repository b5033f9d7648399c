"""Ports of this machine, for servers that are told theirs, and for calls that nobody answers."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_FIRST, _COUNT = 10_000, 20_000
"""Below the ports that Linux and macOS give to whoever asks for any (from 32768 and from 49152)."""

_given: set[int] = set()


def free_port() -> int:
    """A port on which nobody listens, and which neither the system nor this function gives to anybody else."""
    while True:
        port = _FIRST + secrets.randbelow(_COUNT)  # Not by the tests' seed, which all workers have.
        if port in _given:
            continue
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            _given.add(port)
            return port


@contextmanager
def deaf_port() -> Iterator[int]:
    """A port that refuses every connection in the `with` block: it is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        yield port
