"""Serves a node's metrics and its health over HTTP, on 127.0.0.1 only.

GET /metrics    Prometheus's text format
GET /healthz    200 if the node is in order, else 503; JSON
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

from chain.text import shown
from fl_node.cli.service.health import health_of
from fl_node.cli.service.metrics import registry_of
from fl_node.cli.service.watch import Watch
from fl_node.errors import Misuse

HOST = "127.0.0.1"

REQUEST_SECONDS = 10.0
"""The longest that a client may leave its connection silent."""

Respond = Callable[[str, list[tuple[str, str]]], Any]


@contextmanager
def serving(watch: Watch, port: int) -> Iterator[str]:
    """Serve a node's numbers inside the `with` block; yields the server's URL.

    Args:
        watch: What the node has done.
        port: 0 takes a free one.

    Raises:
        Misuse: The port is taken, or not this user's to take.
    """
    try:
        server = make_server(HOST, port, _application(watch), _Server, _Handler)
    except OSError as error:
        raise Misuse(
            f"--metrics-port {port}: {error.strerror}; give another port, or 0 for a free one"
        ) from None
    with server:
        Thread(target=server.serve_forever, daemon=True, name="metrics").start()
        try:
            yield f"http://{HOST}:{server.server_port}"
        finally:
            server.shutdown()


def _application(watch: Watch) -> Callable[[dict[str, Any], Respond], Iterable[bytes]]:
    metrics = make_wsgi_app(registry_of(watch), disable_compression=True)

    def application(request: dict[str, Any], respond: Respond) -> Iterable[bytes]:
        path = request["PATH_INFO"]
        if path == "/metrics":
            answer: Iterable[bytes] = metrics(request, respond)
            return answer
        if path != "/healthz":
            respond("404 Not Found", [("Content-Type", "text/plain")])
            return [b"/metrics or /healthz\n"]
        health = health_of(watch)
        status = "200 OK" if health.healthy else "503 Service Unavailable"
        respond(status, [("Content-Type", "application/json")])
        said = {"healthy": health.healthy, "doing": watch.doing, "why": shown(health.why)}
        return [json.dumps(said).encode()]

    return application


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each request in a thread, so that a slow client keeps no other waiting."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Forget a client that was slow or has gone; its thread ends."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(WSGIRequestHandler):
    """Is silent, and does not wait for ever."""

    timeout = REQUEST_SECONDS

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log nothing."""
