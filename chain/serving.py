"""An HTTP server that no client can keep busy, and the two ways to run one: until a signal, and in a thread.

aiohttp itself waits for ever for a request to arrive and for a client to read its answer. Here connections that are too
many or too slow are closed.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

from aiohttp import web

from chain.errors import LedgerUnusable

_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
"""The names of this machine that a request can use as its `Host`."""

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
"""Turns a request into the answer."""

Announce = Callable[[str], None]
Run = Callable[[Announce, asyncio.Event], Coroutine[Any, Any, None]]
"""Serves until the event is set; announces its URL as soon as it answers requests."""


class BoundedServer(web.Server):
    """Receives requests and sends answers.

    Args:
        handle: Answers a request; wraps what takes its time in `unhurried`.
        request_bytes: The longest body that `request.read()` gives; a longer one raises HTTPRequestEntityTooLarge.
        connections: The most connections open at the same time.
        waiting_seconds: The longest that a connection may take to send its next request or to read its last answer.
    """

    def __init__(
        self, handle: Handle, request_bytes: int, connections: int, waiting_seconds: float
    ) -> None:
        super().__init__(
            handle,
            request_factory=partial(
                web.BaseRequest,
                loop=asyncio.get_running_loop(),
                client_max_size=request_bytes,
            ),
            access_log=None,
            auto_decompress=False,  # A few compressed bytes could expand to very many.
        )
        self._most = connections
        self._waiting_seconds = waiting_seconds
        self._cuts: dict[web.RequestHandler, asyncio.TimerHandle] = {}

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self._cuts) < self._most:
            self._cuts[handler] = self._cut_later(transport)
        else:
            transport.write(_BUSY)
            transport.close()

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        super().connection_lost(handler, exc)
        if handler in self._cuts:
            self._cuts.pop(handler).cancel()

    def _cut_later(self, transport: asyncio.Transport) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._waiting_seconds, transport.abort)

    @asynccontextmanager
    async def unhurried(self, request: web.BaseRequest) -> AsyncIterator[None]:
        """While the server works, the client's time stands still; then it begins anew."""
        if request.protocol in self._cuts:
            self._cuts[request.protocol].cancel()
        yield
        if request.protocol in self._cuts and request.transport is not None:
            self._cuts[request.protocol] = self._cut_later(request.transport)


def port_of(request: web.BaseRequest) -> int:
    """The port that a request came to; 0 if its connection is gone."""
    transport = request.transport
    return 0 if transport is None else int(transport.get_extra_info("sockname")[1])


def hosts_at(names: Iterable[str], port: int) -> set[str]:
    """What a request to one of these names may have as its `Host`; port 80 can be left out (RFC 9110, section 7.2)."""
    hosts = {f"{name}:{port}" for name in names}
    return hosts | {*names} if port == 80 else hosts


@asynccontextmanager
async def listening(
    server: web.Server, host: str, port: int, unusable: type[LedgerUnusable]
) -> AsyncIterator[str]:
    """Let a server answer requests inside the block; yields its URL.

    Args:
        host, port: Where to listen; port 0 picks a free one.
        unusable: Raised if the port is taken.
    """
    runner = web.ServerRunner(server, shutdown_timeout=1)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise unusable(f"cannot listen on {host}:{port}: {error.strerror}") from None
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def run_until_signalled(run: Run, announce: Announce) -> None:
    """Run a server until SIGINT or SIGTERM."""

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await run(announce, stop)

    asyncio.run(main())


@contextmanager
def running_in_thread(run: Run, name: str) -> Iterator[str]:
    """Run a server in a thread inside the block; yields its URL, or raises what kept it from answering."""
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    ready: asyncio.Future[str] = loop.create_future()
    started = threading.Event()

    async def main() -> None:
        def announce(url: str) -> None:
            ready.set_result(url)
            started.set()

        try:
            await run(announce, stop)
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)
            started.set()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),), name=name)
    thread.start()
    try:
        started.wait()
        yield ready.result()
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
