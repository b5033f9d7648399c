"""The HTTP side: decides which requests are let in, how long they may take, and how many run at a time.

Any web page can send requests to 127.0.0.1, and can let a domain of its own point there (DNS rebinding). Three headers
tell a page's requests from a program's. `Host` holds the page's own domain, where a program sends the address that the
devnet announced. Browsers add an `Origin` to cross-site requests; programs do not. And before a browser sends a
`Content-Type` of application/json across sites it asks for permission, which the devnet never grants.

Source: https://fetch.spec.whatwg.org/#http-cors-protocol; the statuses are geth's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from chain.devnet.framing import error_body
from chain.devnet.limits import Limits
from chain.devnet.params import shown

MAX_REQUEST_BYTES = 1 << 22
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

Answer = Callable[[bytes], Awaitable[bytes]]
"""Turns a request's body into the answer's body."""


class Front(web.Server):
    """Receives requests and sends answers, and closes connections that are too many or too slow.

    aiohttp itself waits for ever for a request to arrive and for a client to read its answer.

    Args:
        host: A name or address that requests may use as their `Host`, besides the loopback ones.
    """

    def __init__(self, answer: Answer, host: str, limits: Limits) -> None:
        super().__init__(
            self._handle,
            request_factory=partial(
                web.BaseRequest,
                loop=asyncio.get_running_loop(),
                client_max_size=MAX_REQUEST_BYTES,
            ),
            access_log=None,
            auto_decompress=False,  # A few compressed bytes could expand to very many.
        )
        self._answer = answer
        self._names = {*LOOPBACK, host.lower()}
        self._limits = limits
        self._cuts: dict[web.RequestHandler, asyncio.TimerHandle] = {}

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self._cuts) < self._limits.connections:
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
        loop = asyncio.get_running_loop()
        return loop.call_later(self._limits.waiting_seconds, transport.abort)

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        refusal = _refusal(request, self._names)
        if refusal is not None:
            return _refused(*refusal)
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _refused(413, f"a request holds at most {MAX_REQUEST_BYTES} bytes")
        return web.Response(
            body=await self._answer_in_time(request, body), content_type="application/json"
        )

    async def _answer_in_time(self, request: web.BaseRequest, body: bytes) -> bytes:
        """Answer, and restart the client's time for reading the answer and sending the next request."""
        if request.protocol in self._cuts:
            self._cuts[request.protocol].cancel()
        answer = await self._answer(body)
        if request.protocol in self._cuts and request.transport is not None:
            self._cuts[request.protocol] = self._cut_later(request.transport)
        return answer


def _refusal(request: web.BaseRequest, names: set[str]) -> tuple[int, str] | None:
    """The status and reason of a refusal; None to let the request in."""
    if request.path != "/":
        return 404, f"requests go to /, not to {shown(request.path)}"
    if request.method != "POST":
        return 405, "only POST is supported"
    host, port = request.headers.getall("Host", []), _port_of(request)
    if len(host) != 1 or host[0].lower() not in _hosts(names, port):
        return 403, f"invalid host {shown(host)}: expected 127.0.0.1:{port} or localhost:{port}"
    if "Origin" in request.headers:
        return 403, "web pages are not answered: the request has an Origin"
    if request.content_type != "application/json":
        return 415, f"expected Content-Type: application/json, got {shown(request.content_type)}"
    return None


def _port_of(request: web.BaseRequest) -> int:
    transport = request.transport
    return 0 if transport is None else int(transport.get_extra_info("sockname")[1])


def _hosts(names: set[str], port: int) -> set[str]:
    hosts = {f"{name}:{port}" for name in names}
    return hosts | names if port == 80 else hosts


def _refused(status: int, reason: str) -> web.Response:
    headers = {"Allow": "POST"} if status == 405 else None
    return web.Response(
        status=status,
        headers=headers,
        body=error_body(reason),
        content_type="application/json",
    )
