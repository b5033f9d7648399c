"""scripts/bench/lines.py: a line counts, delays, limits and cuts what passes, and changes nothing in it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from pages import ROOT

TEXT = bytes(range(256)) * 400


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "tests/field")
    monkeypatch.syspath_prepend(ROOT / "scripts/bench")


@contextmanager
def echo() -> Iterator[int]:
    """A server that says what it hears, to one client after the other; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = server.accept()
                    with client, suppress(ConnectionError):
                        while part := client.recv(1 << 16):
                            client.sendall(part)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def say(port: int, text: bytes) -> bytes:
    """What comes back for a text.

    Raises:
        ConnectionError: The line was cut before all of it came back.
    """
    heard = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(text)
        while len(heard) < len(text):
            if not (part := client.recv(1 << 16)):
                raise ConnectionError("cut off")
            heard += part
    return heard


def test_everything_arrives_and_is_counted() -> None:
    from lines import Conditions, Lines

    with echo() as server, Lines(Conditions()) as lines:
        assert say(lines.line().to(server), TEXT) == TEXT
        assert (lines.sent, lines.received) == (len(TEXT), len(TEXT))


def test_a_question_takes_a_greeting_and_a_trip() -> None:
    from lines import Conditions, Lines

    with echo() as server, Lines(Conditions(latency=0.1)) as lines:
        began = time.monotonic()
        assert say(lines.line().to(server), b"hello") == b"hello"
        assert time.monotonic() - began >= 0.2


def test_a_rate_is_what_all_connections_of_a_line_share() -> None:
    from lines import Conditions, Lines

    with echo() as server, Lines(Conditions(up=8)) as lines:
        line = lines.line()
        first, second = line.to(server), line.to(server)
        began = time.monotonic()
        assert say(first, TEXT) == say(second, TEXT) == TEXT
        assert time.monotonic() - began >= 2 * len(TEXT) / 1e6


def test_a_cut_ends_every_connection_once_and_lets_nobody_in_for_a_while() -> None:
    from lines import Conditions, Lines

    with echo() as server, Lines(Conditions(cut=3)) as lines:
        one, other = lines.line().to(server), lines.line().to(server)
        lines.cut_after(len(TEXT) // 2)
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            say(one, TEXT)
        refused = 0
        while True:
            with suppress(ConnectionError):
                if say(other, TEXT) == TEXT:
                    break
            refused += 1
        assert refused
        assert time.monotonic() - began >= 3


def test_good_lines_are_never_cut() -> None:
    from lines import Conditions, Lines

    with echo() as server, Lines(Conditions()) as lines:
        port = lines.line().to(server)
        lines.cut_after(1)
        assert say(port, TEXT) == TEXT
