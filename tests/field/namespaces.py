"""Members on other hosts: a network namespace for each, and a real line to it, whose rate, loss and carrier are ours.

with open_namespaces(3) as places:
    places[0].limit(up=8, down=80)          # Mbit/s
    places[1].lose(0.05)                    # of the packets, each way
    with places[0].cut(): ...               # nothing passes, until the block ends

A namespace has no name: it lives as long as a process of ours that reads from a pipe, so nothing stays behind however
the tests end. Chain and store stay in the tests' own namespace, behind proxies on this side of each line.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROGRAMS = ("unshare", "nsenter", "ip", "tc", "iptables")
BURST = "32kb"
QUEUE = "400ms"
"""How long a packet may wait for a limited line before it is dropped."""


@dataclass(frozen=True)
class Namespace:
    """A member's host.

    Attributes:
        holder: The process that keeps it.
        line: The name of the line's end on this side; there it is called `line`.
        here: The address on this side, which is what the member can reach.
    """

    holder: int
    line: str
    here: str

    def enter(self) -> None:
        """Move this thread, and all that it starts, to the member's host."""
        libc = ctypes.CDLL(None, use_errno=True)
        with Path(f"/proc/{self.holder}/ns/net").open() as namespace:
            if libc.setns(namespace.fileno(), 0):
                raise OSError(ctypes.get_errno(), "setns")

    def limit(self, up: float, down: float) -> None:
        """Let no more pass than so many Mbit/s."""
        self.run(*_limited("line", up))
        _run(*_limited(self.line, down))

    def lose(self, share: float) -> None:
        """Lose a share of the packets in either direction."""
        lost = ("-m", "statistic", "--mode", "random", "--probability", str(share), "-j", "DROP")
        for chain in ("INPUT", "OUTPUT"):
            self.run("iptables", "-A", chain, *lost)

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Take the line's carrier away, as long as the block lasts. Nobody is told: connections only fall silent."""
        _run("ip", "link", "set", self.line, "down")
        try:
            yield
        finally:
            _run("ip", "link", "set", self.line, "up")

    def sent(self) -> int:
        """Bytes that have come from the member, headers and all."""
        return int(Path(f"/sys/class/net/{self.line}/statistics/rx_bytes").read_text())

    def run(self, *words: str) -> None:
        """Run a program there."""
        _run("nsenter", f"--net=/proc/{self.holder}/ns/net", *words)


@cache
def missing_namespaces() -> str:
    """Why there can be none here; empty if there can."""
    if absent := [name for name in PROGRAMS if not shutil.which(name)]:
        return f"there is no {absent[0]}"
    try:
        with open_namespaces(1) as (place,):
            place.limit(up=8, down=8)
            place.lose(0.01)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"network namespaces are refused: {error}"
    return ""


@contextmanager
def open_namespaces(count: int) -> Iterator[list[Namespace]]:
    """So many hosts, each with a line of its own, as long as the block lasts."""
    with ExitStack() as stack:
        yield [stack.enter_context(_namespace(index)) for index in range(count)]


@contextmanager
def _namespace(index: int) -> Iterator[Namespace]:
    """Names and addresses follow from this process's number, so that test workers do not meet."""
    number = os.getpid()
    line, network = f"g{number}-{index}", f"10.{64 + number // 256 % 128}.{number % 256}"
    here, there = (f"{network}.{4 * index + end}" for end in (1, 2))
    holder = subprocess.Popen(
        ["unshare", "--net", "sh", "-c", "echo there; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with holder:
        assert holder.stdout is not None
        if not holder.stdout.readline():
            raise OSError("unshare --net")
        peer = ("peer", "name", "line", "netns", str(holder.pid))
        _run("ip", "link", "add", line, "type", "veth", *peer)
        try:
            place = Namespace(holder.pid, line, here)
            _run("ip", "address", "add", f"{here}/30", "dev", line)
            _run("ip", "link", "set", line, "up")
            place.run("ip", "address", "add", f"{there}/30", "dev", "line")
            place.run("ip", "link", "set", "line", "up")
            yield place
        finally:
            _run("ip", "link", "delete", line)


def _limited(line: str, rate: float) -> tuple[str, ...]:
    tbf = ("tbf", "rate", f"{rate}mbit", "burst", BURST, "latency", QUEUE)
    return ("tc", "qdisc", "replace", "dev", line, "root", *tbf)


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=10)
