"""Members' lines to servers, as TCP sees them: latency, a rate each way, and cuts; with the bytes that went through.

    with Lines(Conditions(latency=0.3)) as lines:
        line = lines.line()
        port = line.to(8545)

Nobody looks at what passes, so that any protocol can be compared with any other.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "field"))

from weather import Lane, link

T = TypeVar("T")
CHUNK = 16 << 10


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a line is like.

    Attributes:
        latency: Seconds there and back.
        up, down: Mbit/s, which all of a member's connections share; None is no limit.
        cut: Seconds for which all members' connections are gone, whenever one is due.
    """

    latency: float = 0.0
    up: float | None = None
    down: float | None = None
    cut: float = 0.0


class Line:
    """One member's line, with a door to each server.

    Attributes:
        sent, received: Bytes so far, as the member sees it; headers count, those of TCP and IP do not.
    """

    def __init__(self, lines: Lines, conditions: Conditions) -> None:
        self.sent = self.received = 0
        self._lines = lines
        lanes = link(conditions.up, conditions.down)
        self._up, self._down = lanes.up, lanes.down
        self._latency = conditions.latency

    def to(self, server: int) -> int:
        """A port on this machine that leads to a server's, by way of this line."""
        return self._lines.open_door(self, server)

    async def carry(self, member: Stream, server: Stream) -> None:
        """Carry what both ends say, until both have finished or either is gone."""
        async with asyncio.TaskGroup() as tasks:
            for source, sink, lane, count in (
                (member, server, self._up, self._count_up),
                (server, member, self._down, self._count_down),
            ):
                way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
                tasks.create_task(self._take(source[0], lane, count, way))
                tasks.create_task(_hand_over(way, sink[1]))

    async def _take(
        self,
        source: asyncio.StreamReader,
        lane: Lane,
        count: Callable[[int], None],
        way: asyncio.Queue[tuple[float, bytes]],
    ) -> None:
        part = b"not yet at its end"
        while part:
            part = await source.read(CHUNK)
            await lane.carry(len(part))
            count(len(part))
            way.put_nowait((time.monotonic() + self._latency / 2, part))

    def _count_up(self, size: int) -> None:
        self.sent += size
        self._lines.perhaps_cut(self)

    def _count_down(self, size: int) -> None:
        self.received += size


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _hand_over(way: asyncio.Queue[tuple[float, bytes]], sink: asyncio.StreamWriter) -> None:
    while True:
        due, part = await way.get()
        await asyncio.sleep(due - time.monotonic())
        if not part:
            sink.write_eof()
            return
        sink.write(part)
        await sink.drain()


class Lines:
    """Lines under the same conditions, which one thread serves as long as the `with` block lasts."""

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self._lines: list[Line] = []
        self._connected: set[asyncio.StreamWriter] = set()
        self._servers: list[asyncio.Server] = []
        self._due: dict[Line, int] = {}
        self._gone_until = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def sent(self) -> int:
        """Bytes that all members have sent."""
        return sum(line.sent for line in self._lines)

    @property
    def received(self) -> int:
        """Bytes that all members have received."""
        return sum(line.received for line in self._lines)

    def line(self) -> Line:
        """A new member's line."""
        self._lines.append(Line(self, self._conditions))
        return self._lines[-1]

    def cut_after(self, size: int) -> None:
        """Cut all lines once, as soon as one member has sent so many bytes from now on, if the conditions have cuts."""
        if self._conditions.cut:
            self._due = {line: line.sent + size for line in self._lines}

    def perhaps_cut(self, line: Line) -> None:
        """Cut all lines if it is time."""
        if self._due and line.sent >= self._due[line]:
            self._due = {}
            self._cut(self._conditions.cut)

    def open_door(self, line: Line, server: int) -> int:
        """A port that leads to a server's by way of a line."""
        return self._call(self._listen(line, server))

    async def _listen(self, line: Line, server: int) -> int:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(line, server, (reader, writer))

        listening = await asyncio.start_server(serve, "127.0.0.1", 0)
        self._servers.append(listening)
        return int(listening.sockets[0].getsockname()[1])

    async def _serve(self, line: Line, server: int, member: Stream) -> None:
        writers = [member[1]]
        try:
            await asyncio.sleep(self._conditions.latency)  # A greeting goes there and back.
            if time.monotonic() >= self._gone_until:
                there = await asyncio.open_connection("127.0.0.1", server)
                writers.append(there[1])
                self._connected.update(writers)
                await line.carry(member, there)
                for writer in writers:
                    writer.close()
                    await writer.wait_closed()
        except* OSError:
            pass  # An end is gone, or has been cut off.
        finally:
            self._connected.difference_update(writers)
            for writer in writers:
                _reset(writer)

    def _cut(self, seconds: float) -> None:
        self._gone_until = time.monotonic() + seconds
        for writer in self._connected:
            _reset(writer)

    async def _close(self) -> None:
        for listening in self._servers:
            listening.close()
        self._cut(math.inf)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection so that the other end notices at once, unless it is closed already."""
    if not writer.transport.is_closing():
        ends = writer.get_extra_info("socket")
        ends.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
