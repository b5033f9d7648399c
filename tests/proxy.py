"""A strange endpoint: a small proxy in front of a real one, which says what any backend might say.

with proxy_to(url) as proxy:
    proxy.change("eth_getLogs", lambda found: found[::-1])
    proxy.reply("eth_chainId", Reply(b"<html>", 502))
"""

from __future__ import annotations

import json
import ssl
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""`urlopen` would keep, for every later test, the proxy that a test sets in the environment."""
EVERY = "*"
"""Stands for every method."""

BARE = 0
"""Stands for no status: the body is all that is sent, head and all."""


@dataclass(frozen=True)
class Reply:
    """An answer over HTTP as it is sent: a body with its length, or parts until the connection ends."""

    body: bytes | Iterable[bytes]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


Answer = dict[str, Any]
Handler = Callable[[dict[str, Any], Callable[[], Answer]], Answer | Reply]
"""Given a request and the means to ask the real endpoint, what the proxy answers."""


class Proxy:
    """Passes requests on, save for the methods that it was told something else about."""

    def __init__(self, upstream: str) -> None:
        self.url = ""
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.closed = threading.Event()
        self._upstream = upstream
        self.shuffles = False
        self._on_batch: Callable[[], Reply | None] = lambda: None
        self._handlers: dict[str, Handler] = {}

    def on(self, method: str, handler: Handler) -> None:
        """Answer a method by hand."""
        self._handlers[method] = handler

    def on_batches(self, handler: Callable[[], Reply | None]) -> None:
        """Answer whole batches by hand; None for what their requests are answered."""
        self._on_batch = handler

    def reply(self, method: str, reply: Reply) -> None:
        """Answer a method with bytes."""
        self.on(method, lambda request, ask: reply)

    def change(self, method: str, change: Callable[[Any], Any]) -> None:
        """Change what the real endpoint answers to a method."""
        self.on(method, lambda request, ask: changed(ask(), change))

    def refuse(self, method: str, message: str, times: int = 1 << 30) -> None:
        """Answer a method so many times with an error, as a node does."""
        left = iter(range(times))
        self.on(
            method,
            lambda request, ask: ask() if next(left, None) is None else refusal(request, message),
        )

    def restore(self) -> None:
        """Pass everything on again."""
        self._handlers.clear()

    def drip(self, seconds: float = 0.05, byte: bytes = b" ") -> Iterator[bytes]:
        """A byte and then another one, for ever."""
        while not self.closed.wait(seconds):
            yield byte

    def answer(self, body: bytes) -> Reply:
        """What is answered to the body of an HTTP request; bytes for one request of a batch are the whole answer."""
        request = json.loads(body)
        if not isinstance(request, list):
            answered = self._answer_one(request)
            return answered if isinstance(answered, Reply) else _as_reply(answered)
        if (whole := self._on_batch()) is not None:
            return whole
        answers: list[Answer] = []
        for one in request:
            answered = self._answer_one(one)
            if isinstance(answered, Reply):
                return answered
            answers.append(answered)
        return _as_reply(answers[::-1] if self.shuffles else answers)

    def _answer_one(self, request: dict[str, Any]) -> Answer | Reply:
        self.asked.append(request["method"])
        body = json.dumps(request).encode()
        handler = self._handlers.get(request["method"]) or self._handlers.get(EVERY)
        if handler is None:
            answer: Answer = json.loads(self._pass_on(body))
            return answer
        return handler(request, lambda: json.loads(self._pass_on(body)))

    def _pass_on(self, body: bytes) -> bytes:
        request = urllib.request.Request(self._upstream, body, {"Content-Type": "application/json"})
        with DIRECT.open(request, timeout=30) as response:
            content: bytes = response.read()
            return content


def _as_reply(answer: Answer | list[Answer]) -> Reply:
    return Reply(json.dumps(answer).encode())


def changed(answer: Answer, change: Callable[[Any], Any]) -> Answer:
    """An answer with another result."""
    return {**answer, "result": change(answer["result"])} if "result" in answer else answer


def refusal(request: dict[str, Any], message: str, code: int = -32000) -> Answer:
    """A node's error."""
    return {"jsonrpc": "2.0", "id": request["id"], "error": {"code": code, "message": message}}


@contextmanager
def proxy_to(upstream: str, tls: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    """A proxy on a port of its own, as long as the block lasts; https where it has a certificate."""
    proxy = Proxy(upstream)

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            proxy.headers.append(dict(self.headers))
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with suppress(OSError):  # the client has hung up
                self._send(proxy.answer(body))

        def _send(self, reply: Reply) -> None:
            if reply.status != BARE:
                self._send_head(reply)
            for part in [reply.body] if isinstance(reply.body, bytes) else reply.body:
                self.wfile.write(part)
                self.wfile.flush()

        def _send_head(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if isinstance(reply.body, bytes) and "Content-Length" not in reply.headers:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        server.daemon_threads = True
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        proxy.url = f"http{'s' * (tls is not None)}://127.0.0.1:{server.server_port}"
        try:
            yield proxy
        finally:
            proxy.closed.set()
            server.shutdown()
            thread.join()
