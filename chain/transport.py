"""HTTP to an untrusted endpoint: each answer has a deadline as a whole and a limit in bytes.

requests limits the time of each single read only, so one byte every nine seconds keeps it waiting for ever; and it
does not limit bytes. This module enforces both limits where the bytes arrive, below HTTP's headers and chunks: each
answer is read through a `_Metered`.
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

from chain import busy

MAX_ANSWER_BYTES = 1 << 23
"""The longest answer that is read, headers included: some 10 000 logs. The ledger then asks for fewer logs."""

_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
_OK = 200
_CHUNK = 1 << 16


class NoAnswer(Exception):
    """The connection failed, or the answer did not arrive in time."""


class AnswerTooLong(Exception):
    """The answer is longer than `MAX_ANSWER_BYTES`."""


class StatusRefused(Exception):
    """The HTTP status is not 200, or the answer is compressed.

    Attributes:
        status: The status.
        retry_after: Seconds after which to ask again, 0 to 600, if the answer says so.
    """

    def __init__(self, reason: str, status: int, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after = retry_after


class Transport:
    """Sends requests to one URL, and keeps its connections open between them.

    Args:
        url: http:// or https://, with user and password if the endpoint wants them. Proxies and certificates come
            from the environment, as for any client built on requests.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter())

    def post(self, body: bytes, seconds: float) -> bytes:
        """Send a request and return the body of its answer.

        Compressed answers and redirects are refused.

        Args:
            body: The request's body.
            seconds: The time limit for the connection, and again for the whole answer.

        Raises:
            NoAnswer: The connection failed, or no whole answer arrived in time.
            AnswerTooLong: The answer is longer than `MAX_ANSWER_BYTES`.
            StatusRefused: The status is not 200, or the answer is compressed.
        """
        return self._answer("POST", body, seconds)

    def get(self, seconds: float) -> bytes:
        """Ask for what is there, without a body. Args and Raises as for `post`."""
        return self._answer("GET", None, seconds)

    def _answer(self, method: str, body: bytes | None, seconds: float) -> bytes:
        try:
            with self._session.request(
                method,
                self._url,
                data=body,
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
            # requests raises OSErrors, but lets some errors of urllib3 and of Python's codecs through.
            raise NoAnswer(_reason(error, seconds)) from None


def _verify_head(response: requests.Response) -> None:
    status = response.status_code
    if status != _OK:
        asked = busy.retry_after(response.headers.get("Retry-After"))
        raise StatusRefused(f"HTTP {status} {response.reason}", status, asked)
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        raise StatusRefused(
            f"the answer is compressed ({encoding}), but compression was not asked for", status
        )


def _reason(error: BaseException, seconds: float) -> str:
    """Why there is no answer, without any part of the URL, which may hold the key to a paid service."""
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
    """Reads a socket up to a deadline and a number of bytes, no matter how slowly the bytes arrive."""

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
        if self.msg.defects:  # urllib3 would log them together with the URL, which may hold a key.
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
    """requests' adapter over metered connections, direct or through a proxy."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager


_POOLS = {"http": _PlainPool, "https": _SecurePool}
