"""The HTTP side: decides which requests are let in, how long they may take, and how many run at a time.

Any web page can send requests to 127.0.0.1, and can let a domain of its own point there (DNS rebinding). Three headers
tell a page's requests from a program's. `Host` holds the page's own domain, where a program sends the address that the
devnet announced. Browsers add an `Origin` to cross-site requests; programs do not. And before a browser sends a
`Content-Type` of application/json across sites it asks for permission, which the devnet never grants.

Source: https://fetch.spec.whatwg.org/#http-cors-protocol; the statuses are geth's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

from chain.devnet.framing import error_body
from chain.devnet.limits import Limits
from chain.devnet.params import shown
from chain.serving import LOOPBACK, BoundedServer, hosts_at, port_of

MAX_REQUEST_BYTES = 1 << 22

Answer = Callable[[bytes], Awaitable[bytes]]
"""Turns a request's body into the answer's body."""


class Front(BoundedServer):
    """Receives requests and sends answers.

    Args:
        host: A name or address that requests may use as their `Host`, besides the loopback ones.
    """

    def __init__(self, answer: Answer, host: str, limits: Limits) -> None:
        super().__init__(
            self._handle, MAX_REQUEST_BYTES, limits.connections, limits.waiting_seconds
        )
        self._answer_body = answer
        self._names = {*LOOPBACK, host.lower()}

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        refusal = _refusal(request, self._names)
        if refusal is not None:
            return _refused(*refusal)
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _refused(413, f"a request holds at most {MAX_REQUEST_BYTES} bytes")
        async with self.unhurried(request):
            answer = await self._answer_body(body)
        return web.Response(body=answer, content_type="application/json")


def _refusal(request: web.BaseRequest, names: set[str]) -> tuple[int, str] | None:
    """The status and reason of a refusal; None to let the request in."""
    if request.path != "/":
        return 404, f"requests go to /, not to {shown(request.path)}"
    if request.method != "POST":
        return 405, "only POST is supported"
    host, port = request.headers.getall("Host", []), port_of(request)
    if len(host) != 1 or host[0].lower() not in hosts_at(names, port):
        return 403, f"invalid host {shown(host)}: expected 127.0.0.1:{port} or localhost:{port}"
    if "Origin" in request.headers:
        return 403, "web pages are not answered: the request has an Origin"
    if request.content_type != "application/json":
        return 415, f"expected Content-Type: application/json, got {shown(request.content_type)}"
    return None


def _refused(status: int, reason: str) -> web.Response:
    headers = {"Allow": "POST"} if status == 405 else None
    return web.Response(
        status=status,
        headers=headers,
        body=error_body(reason),
        content_type="application/json",
    )
