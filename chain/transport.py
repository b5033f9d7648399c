"""HTTP to an endpoint that is not trusted: a deadline for an answer as a whole, and a limit on its bytes.

requests has a time limit for each read alone, so that a byte every nine seconds keeps it waiting for ever, and none on
bytes. Both are kept here where the bytes arrive, below HTTP's headers and chunks: one `_Metered` for each answer.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

MAX_ANSWER_BYTES = 1 << 23
"""The longest answer that is read, headers included: some 10 000 logs. Whoever asks for logs asks for fewer then."""

_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
_OK = 200
_CHUNK = 1 << 16


class NoAnswer(Exception):
    """No connection, or it broke, or the answer did not come in time."""


class AnswerTooLong(Exception):
    """More bytes than are read."""


class StatusRefused(Exception):
    """Another status of HTTP than 200."""


class Transport:
    """Posts requests to one URL; connections are kept open between them.

    Args:
        url: http:// or https://, with user and password if the endpoint wants them. Proxies and certificates come
            from the environment, as with any client that is built on requests.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter())

    def post(self, body: bytes, seconds: float) -> bytes:
        """Send a request and return the body of its answer.

        Nothing is unpacked and no redirect is followed: neither is asked for.

        Args:
            seconds: For the connection, and again for the whole answer.

        Raises:
            NoAnswer: No connection, a cut answer, or none in time.
            AnswerTooLong: More than `MAX_ANSWER_BYTES`.
            StatusRefused: Another status than 200.
        """
        try:
            with self._session.post(
                self._url,
                body,
                headers=_HEADERS,
                timeout=seconds,
                stream=True,
                allow_redirects=False,
            ) as response:
                _verify_head(response)
                return b"".join(response.raw.stream(_CHUNK, decode_content=False))
        except (
            OSError,
            ValueError,
            http.client.HTTPException,
            urllib3.exceptions.HTTPError,
        ) as error:
            # requests' own errors are OSErrors; some of urllib3's and of Python's codecs get past it.
            raise NoAnswer(_reason(error, seconds)) from None


def _verify_head(response: requests.Response) -> None:
    if response.status_code != _OK:
        raise StatusRefused(f"HTTP {response.status_code} {response.reason}")
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise StatusRefused(f"packed the answer ({encoding}), which was not asked for")


def _reason(error: BaseException, seconds: float) -> str:
    """Why there is no answer, in words that hold nothing of the URL: it may be the key to a paid service."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    for cause in reversed(causes):
        if isinstance(cause, TimeoutError | requests.Timeout):
            return f"no whole answer within {seconds:g} s"
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
    return f"the connection failed ({type(causes[-1]).__name__})"


class _Metered(io.RawIOBase):
    """Reads a socket until a deadline and up to a number of bytes, however few come at a time."""

    def __init__(self, raw: Any, sock: socket.socket) -> None:
        self._raw = raw
        self._socket = sock
        self._ends = time.monotonic() + (sock.gettimeout() or 0)
        self._left = MAX_ANSWER_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        seconds = self._ends - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        self._socket.settimeout(seconds)
        count: int | None = self._raw.readinto(buffer)
        self._left -= count or 0
        if self._left < 0:
            raise AnswerTooLong
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_Metered(self.fp.detach(), sock))

    def begin(self) -> None:
        super().begin()
        if self.msg.defects:  # urllib3 would log them with the URL, which may hold a key
            raise http.client.HTTPException("malformed headers")


class _Plain(HTTPConnection):
    response_class = _Response


class _Secure(HTTPSConnection):
    response_class = _Response


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


class _Adapter(HTTPAdapter):
    """requests' adapter, over connections whose answers are metered; through a proxy also."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager


_POOLS = {"http": _PlainPool, "https": _SecurePool}
