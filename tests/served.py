"""A store behind a URL that behaves badly: what a socket can say, and how slowly."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Behaviour = Callable[[socket.socket, threading.Event], None]
"""What is done with a connection once its request was read; ends early when the event is set."""

TICK = 0.02


@contextmanager
def served(behave: Behaviour, requests: list[bytes] | None = None) -> Iterator[str]:
    """Serve every connection on loopback in this manner; gives the URL, and notes what was asked."""
    over = threading.Event()
    threads: list[threading.Thread] = []

    def handle(connection: socket.socket) -> None:
        with connection:
            try:
                request = read_request(connection, over)
                if requests is not None:
                    requests.append(request)
                behave(connection, over)
            except OSError:
                pass  # The other side has had enough.

    def accept(listener: socket.socket) -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            connection.settimeout(TICK)
            threads.append(threading.Thread(target=handle, args=(connection,)))
            threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TICK)
        accepting = threading.Thread(target=accept, args=(listener,))
        accepting.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            accepting.join()
            for thread in threads:
                thread.join()


def read_request(connection: socket.socket, over: threading.Event) -> bytes:
    """Read up to the end of the headers."""
    request = b""
    while b"\r\n\r\n" not in request and not over.is_set():
        try:
            request += connection.recv(4096)
        except TimeoutError:
            continue
    return request


def head(length: int, status: str = "200 OK") -> bytes:
    """The first lines of an answer with so many bytes."""
    date = "Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT"
    return f'HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{date}\r\nETag: "1"\r\n\r\n'.encode()


def answer(body: bytes, status: str = "200 OK") -> Behaviour:
    """A whole answer."""
    return lambda connection, over: connection.sendall(head(len(body), status) + body)


def say_nothing(connection: socket.socket, over: threading.Event) -> None:
    """Take the request and never answer."""
    over.wait()


def stop_after(beginning: bytes) -> Behaviour:
    """Begin an answer and say no more."""

    def behave(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(beginning)
        over.wait()

    return behave


def drip(beginning: bytes) -> Behaviour:
    """Begin an answer, then send a byte now and then, without end."""

    def behave(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(beginning)
        while not over.wait(TICK):
            connection.sendall(b"x")

    return behave


def cut(beginning: bytes) -> Behaviour:
    """Begin an answer and hang up."""
    return lambda connection, over: connection.sendall(beginning)
