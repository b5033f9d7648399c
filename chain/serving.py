"""An HTTP server that no client can keep busy: connections that are too many or too slow are closed.

aiohttp itself waits for ever for a request to arrive and for a client to read its answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web

_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
"""Turns a request into the answer."""


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
