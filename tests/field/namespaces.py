"""Members on other hosts: a network namespace for each, and a real line to it, whose rate, loss and carrier are ours.

with open_namespaces(3) as places:
    places[0].limit(up=8, down=80)          # Mbit/s
    places[1].lose(0.05)                    # of the packets, each way
    with places[0].cut(): ...               # nothing passes, until the block ends

A namespace has no name: it lives as long as a process of ours that reads from a pipe, so nothing stays behind however
the tests end. The other ends of the lines are in a namespace too, since a browser of another test gives up what it is
loading when its own host's addresses change. The proxies before chain and store listen in that one, and connect from
the tests' own.
"""

from __future__ import annotations

import ctypes
import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
        hub: The process that keeps the namespace of the lines' other ends.
        line: The name of the line's end in the hub; there it is called `line`.
        here: The address of that end, which is what the member can reach.
    """

    holder: int
    hub: int
    line: str
    here: str

    def enter(self) -> None:
        """Move this thread, and all that it starts, to the member's host."""
        _enter(self.holder)

    def listening(self) -> socket.socket:
        """A socket that the member can connect to, on a free port."""

        def listen() -> socket.socket:
            _enter(self.hub)
            return socket.create_server((self.here, 0))

        with ThreadPoolExecutor(1) as aside:  # Only this thread moves, and it ends here.
            return aside.submit(listen).result()

    def limit(self, up: float, down: float) -> None:
        """Let no more pass than so many Mbit/s."""
        self.run(*_limited("line", up))
        _run_in(self.hub, *_limited(self.line, down))

    def lose(self, share: float) -> None:
        """Lose a share of the packets in either direction."""
        lost = ("-m", "statistic", "--mode", "random", "--probability", str(share), "-j", "DROP")
        for chain in ("INPUT", "OUTPUT"):
            self.run("iptables", "-A", chain, *lost)

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Take the line's carrier away, as long as the block lasts. Nobody is told: connections only fall silent."""
        _run_in(self.hub, "ip", "link", "set", self.line, "down")
        try:
            yield
        finally:
            _run_in(self.hub, "ip", "link", "set", self.line, "up")

    def sent(self) -> int:
        """Bytes that have come from the member, headers and all."""
        shown = _run_in(self.hub, "ip", "-json", "-statistics", "link", "show", self.line)
        return int(json.loads(shown)[0]["stats64"]["rx"]["bytes"])

    def run(self, *words: str) -> None:
        """Run a program there."""
        _run_in(self.holder, *words)


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
        hub = stack.enter_context(_held())
        yield [_joined(stack.enter_context(_held()), hub, index) for index in range(count)]


def _joined(holder: int, hub: int, index: int) -> Namespace:
    """A member's host, with a line to the hub; the line is gone when the hub is."""
    line, (here, there) = f"line-{index}", (f"10.64.{index}.{end}" for end in (1, 2))
    place = Namespace(holder, hub, line, here)
    peer = ("peer", "name", "line", "netns", str(holder))
    _run_in(hub, "ip", "link", "add", line, "type", "veth", *peer)
    _run_in(hub, "ip", "address", "add", f"{here}/30", "dev", line)
    _run_in(hub, "ip", "link", "set", line, "up")
    place.run("ip", "address", "add", f"{there}/30", "dev", "line")
    place.run("ip", "link", "set", "line", "up")
    return place


@contextmanager
def _held() -> Iterator[int]:
    """A new namespace; yields the process that keeps it."""
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
        yield holder.pid


def _enter(holder: int) -> None:
    """Move this thread to the namespace that a process keeps."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(f"/proc/{holder}/ns/net").open() as namespace:
        if libc.setns(namespace.fileno(), 0):
            raise OSError(ctypes.get_errno(), "setns")


def _limited(line: str, rate: float) -> tuple[str, ...]:
    tbf = ("tbf", "rate", f"{rate}mbit", "burst", BURST, "latency", QUEUE)
    return ("tc", "qdisc", "replace", "dev", line, "root", *tbf)


def _run_in(holder: int, *words: str) -> str:
    """Run a program in the namespace that a process keeps; what it prints."""
    moved = ("nsenter", f"--net=/proc/{holder}/ns/net", *words)
    return subprocess.run(moved, check=True, capture_output=True, timeout=60, text=True).stdout
