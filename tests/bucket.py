"""A bucket on loopback that speaks as much S3 as the store needs, slowly, rudely or not at all.

with bucket_on_loopback() as bucket:
    bucket.rate = 100_000            # bytes per second that it takes
    bucket.cuts = 1                  # hangs up once, in the middle of what it is sent
    bucket.refuse(429, "SlowDown", times=2)
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

SLICE = 1 << 14
"""How many bytes are taken at once."""


@dataclass
class Refusal:
    """An answer in place of the next ones to requests of this method, or of any."""

    status: int
    code: str
    message: str
    times: float
    method: str | None
    headers: dict[str, str]


@dataclass
class Bucket:
    """What lies in the bucket, how it behaves, and what it was asked.

    Attributes:
        url: Where it listens.
        objects: Key, with the bucket's name, to content.
        rate: Bytes that it takes and gives per second; None for all at once.
        stops_after: Bytes, taken and given together, after which it says and hears no more; None for never.
        cuts: So many times it hangs up in the middle of what it is sent.
        cuts_reading: So many times it hangs up in the middle of what it sends.
        requests: Method and key, with the query.
        taken: Bytes of the bodies that were sent, those of cut requests too.
        given: Bytes of the bodies that it sent.
    """

    url: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    rate: float | None = None
    stops_after: float | None = None
    cuts: int = 0
    cuts_reading: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    taken: int = 0
    given: int = 0
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    over: threading.Event = field(default_factory=threading.Event)

    def refuse(
        self,
        status: int,
        code: str = "",
        times: float = float("inf"),
        method: str | None = None,
        message: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        """Answer the next requests like this."""
        self.refusals.append(Refusal(status, code, message, times, method, headers or {}))

    def asked(self, method: str) -> int:
        """How many requests of this method there were."""
        return sum(request.startswith(f"{method} ") for request in self.requests)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bucket: Bucket

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._serve()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD  # noqa: N815

    def _serve(self) -> None:
        bucket = self.bucket
        self._wait(0)
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query, True).items()}
        with bucket.lock:
            bucket.requests.append(f"{self.command} {self.path}")
            refusal = self._refusal()
        if refusal:
            self.close_connection = True
            body = f"<Error><Code>{refusal.code}</Code><Message>{refusal.message}</Message></Error>"
            self._answer(refusal.status, body.encode(), refusal.headers)
            return
        body_ = self._take()
        if body_ is None:
            return
        getattr(self, f"_{self.command.lower()}")(url.path.lstrip("/"), query, body_)

    def _refusal(self) -> Refusal | None:
        for refusal in self.bucket.refusals:
            if refusal.times > 0 and refusal.method in (None, self.command):
                refusal.times -= 1
                return refusal
        return None

    def _take(self) -> bytes | None:
        """The request's body; None if the connection was cut in the middle of it."""
        length = int(self.headers.get("Content-Length") or 0)
        body = bytearray()
        while len(body) < length:
            if self.bucket.over.is_set():
                self.close_connection = True
                return None
            piece = self.rfile.read(min(SLICE, length - len(body)))
            if not piece:
                self.close_connection = True
                return None
            body += piece
            with self.bucket.lock:
                self.bucket.taken += len(piece)
                cut = self.bucket.cuts > 0 and len(body) > length // 2 > SLICE
                self.bucket.cuts -= cut
            if cut:
                self.close_connection = True
                self.connection.close()
                return None
            self._wait(len(piece))
        return bytes(body)

    def _wait(self, size: int) -> None:
        """The link is shared by all connections."""
        moved = self.bucket.taken + self.bucket.given
        if self.bucket.stops_after is not None and moved >= self.bucket.stops_after:
            self.bucket.over.wait()
        if self.bucket.rate:
            with _LINK:
                self.bucket.over.wait(size / self.bucket.rate)

    def _answer(
        self, status: int, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
        given = {"Content-Length": str(len(body)), **(headers or {})}
        for name, value in given.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self._give(body)

    def _give(self, body: bytes) -> None:
        for start in range(0, len(body), SLICE):
            piece = body[start : start + SLICE]
            with self.bucket.lock:
                cut = self.bucket.cuts_reading > 0 and start > len(body) // 2
                self.bucket.cuts_reading -= cut
            if cut:
                self.close_connection = True
                self.connection.close()
                return
            with self.bucket.lock:  # Before whoever gets it can ask how much it was.
                self.bucket.given += len(piece)
            self.wfile.write(piece)
            self._wait(len(piece))

    def _head(self, key: str, query: dict[str, str], body: bytes) -> None:
        content = self.bucket.objects.get(key)
        if content is None:
            self._answer(404)
        else:
            self._answer(200, b"", {"Content-Length": str(len(content))})

    def _get(self, key: str, query: dict[str, str], body: bytes) -> None:
        if "list-type" in query:
            self._answer(
                200, b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
            )
            return
        content = self.bucket.objects.get(key)
        if content is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return
        span = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if not span:
            self._answer(200, content)
            return
        start, end = int(span[1]), min(int(span[2] or len(content)) + 1, len(content))
        piece = content[start:end]
        self._answer(206, piece, {"Content-Range": f"bytes {start}-{end - 1}/{len(content)}"})

    def _put(self, key: str, query: dict[str, str], body: bytes) -> None:
        with self.bucket.lock:
            if "partNumber" in query:
                self.bucket.uploads[query["uploadId"]][int(query["partNumber"])] = body
            elif self.headers.get("If-None-Match") and key in self.bucket.objects:
                self._answer(412)
                return
            else:
                self.bucket.objects[key] = body
        self._answer(200)

    def _post(self, key: str, query: dict[str, str], body: bytes) -> None:
        with self.bucket.lock:
            if "uploads" in query:
                upload = str(len(self.bucket.uploads) + 1)
                self.bucket.uploads[upload] = {}
                text = f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            elif "delete" in query:
                for found in re.findall(rb"<Key>(.*?)</Key>", body):
                    self.bucket.objects.pop(f"{key}/{found.decode()}".replace("//", "/"), None)
                text = "<DeleteResult></DeleteResult>"
            else:
                parts = self.bucket.uploads.pop(query["uploadId"])
                self.bucket.objects[key] = b"".join(parts[number] for number in sorted(parts))
                text = '<CompleteMultipartUploadResult><ETag>"1"</ETag></CompleteMultipartUploadResult>'
        self._answer(200, text.encode())

    def _delete(self, key: str, query: dict[str, str], body: bytes) -> None:
        with self.bucket.lock:
            self.bucket.uploads.pop(query.get("uploadId", ""), None)
            if "uploadId" not in query:
                self.bucket.objects.pop(key, None)
        self._answer(204)


_LINK = threading.Lock()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: the other side has had enough."""


@contextmanager
def bucket_on_loopback() -> Iterator[Bucket]:
    """Serve an empty bucket; it takes any credentials."""
    bucket = Bucket()
    handler = type("Handler", (_Handler,), {"bucket": bucket})
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    bucket.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield bucket
    finally:
        bucket.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def point_at(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this the endpoint of every s3:// location, with credentials that open nothing."""
    settings = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": endpoint,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
