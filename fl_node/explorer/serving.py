"""Serves the page to browsers of this machine, and what it verifies.

    GET  /               the page and its files
    GET  /site.json      where the task's history is, which rounds have pictures, and which witnesses are trusted
    POST /rpc            JSON-RPC, passed on to the endpoint (`fl_node.explorer.passing`)
    GET  /blobs/SHA256   a blob of the store, as it is; whether it has that digest the page sees for itself
    GET  /bundle/NAME    a file of the bundle that is shown, if one is; then no chain is asked
    GET  /pictures/3     a picture of round 3's model, where somebody drew one

Any web page can send requests to 127.0.0.1, and can let a domain of its own point there (DNS rebinding). So the `Host`
must be a loopback name, and an `Origin` the page's own.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from aiohttp import web

from chain.connection import Connection
from chain.errors import FileUnusable, LedgerUnusable
from chain.files import read_file
from chain.serving import (
    LOOPBACK,
    Announce,
    BoundedServer,
    hosts_at,
    listening,
    port_of,
    run_until_signalled,
)
from chain.text import shown
from fl_node.blobs.reader import Reader
from fl_node.errors import BlobMissing, BlobTampered, GanchorError
from fl_node.explorer.files import KINDS, page_file, page_names
from fl_node.explorer.passing import passed_on

REQUEST_BYTES = 1 << 20
PICTURE_BYTES = 1 << 24
BLOB_BYTES = 1 << 40
"""The longest blob that is passed on; of one that is longer than a browser holds, the page takes the hash."""

PIECE_BYTES = 1 << 20

CONNECTIONS = 64
WAITING_SECONDS = 60.0

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self' http: https:; worker-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""With every answer; nothing may run or be shown but what comes from here."""


Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Site:
    """Where the history is that the page shows.

    Attributes:
        pictures: PNG files by round, drawn from its model by whoever ran the nodes; nobody checks them.
        witnesses: The keys of those that whoever looks trusts, NAME+ID+KEY.
    """

    chain_id: int
    contract: str
    first_block: int
    task: int
    pictures: Mapping[int, Path] = field(default_factory=dict)
    witnesses: Sequence[str] = ()

    def to_json(self) -> dict[str, object]:
        """What the page is told."""
        return {
            "chain_id": self.chain_id,
            "contract": self.contract,
            "first_block": self.first_block,
            "task": self.task,
            "pictures": sorted(self.pictures),
            "witnesses": [*self.witnesses],
        }


@dataclass(frozen=True, slots=True)
class BundledSite:
    """A history that the page reads from a bundle.

    Attributes:
        record: The bundle's files that say what happened, by name; the page reads them as strictly as the audit does.
        witnesses: As for a `Site`.
    """

    record: Mapping[str, memoryview]
    witnesses: Sequence[str] = ()

    def to_json(self) -> dict[str, object]:
        """What the page is told: whose history it is, the record says."""
        return {"bundle": True, "witnesses": [*self.witnesses]}


class Front(BoundedServer):
    """Answers a browser's requests.

    Args:
        site: Where the history is.
        connection: To the chain; None if a bundle is shown.
        blobs: Where the blobs are; None if no store is at hand.
        beside: One thread, in which the chain and the store are asked.
    """

    def __init__(
        self,
        site: Site | BundledSite,
        connection: Connection | None,
        blobs: Reader | None,
        beside: ThreadPoolExecutor,
    ) -> None:
        super().__init__(self._handle, REQUEST_BYTES, CONNECTIONS, WAITING_SECONDS)
        self._site, self._connection, self._blobs = site, connection, blobs
        self._record = site.record if isinstance(site, BundledSite) else {}
        self._pictures = site.pictures if isinstance(site, Site) else {}
        self._beside = beside

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if (refusal := _refusal(request)) is not None:
            return _error(403, refusal)
        match request.method, request.path:
            case "POST", "/rpc":
                return await self._pass_on(request)
            case "GET", "/site.json":
                return _answer(json.dumps(self._site.to_json()).encode(), "application/json")
            case "GET", path if blob := re.fullmatch("(?:/bundle)?/blobs/([0-9a-f]{64})", path):
                return await self._give(request, blob[1])
            case "GET", path if drawn := re.fullmatch("/pictures/([0-9]{1,5})", path):
                return _picture(self._pictures.get(int(drawn[1])))
            case "GET", path if path.startswith("/bundle/"):
                return _recorded(self._record.get(path.removeprefix("/bundle/")))
            case "GET", path:
                return _file(path, "gzip" in request.headers.get("Accept-Encoding", ""))
            case _:
                return _error(405, "there are GET and POST /rpc")

    async def _pass_on(self, request: web.BaseRequest) -> web.Response:
        connection = self._connection
        if connection is None:
            return _error(404, "a bundle is shown, no chain is asked")
        if request.content_type != "application/json":
            return _error(415, "expected Content-Type: application/json")
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _error(413, f"a request has at most {REQUEST_BYTES} bytes")
        return await self._unhurried(
            request,
            lambda: _answer(passed_on(connection, body), "application/json"),
        )

    async def _unhurried(self, request: web.BaseRequest, work: Callable[[], Found]) -> Found:
        loop = asyncio.get_running_loop()
        async with self.unhurried(request):
            return await loop.run_in_executor(self._beside, work)

    async def _give(self, request: web.BaseRequest, name: str) -> web.StreamResponse:
        found = await self._unhurried(request, partial(self._blob, name))
        if isinstance(found, web.Response):
            return found
        answer = web.StreamResponse(headers=HEADERS)
        answer.content_type, answer.content_length = "application/octet-stream", len(found)
        await answer.prepare(request)
        for start in range(0, len(found), PIECE_BYTES):
            async with self.unhurried(request):  # Whoever goes on reading has time for all of it.
                piece = found[start : start + PIECE_BYTES]
            await answer.write(piece)
        return answer

    def _blob(self, name: str) -> memoryview | web.Response:
        if self._blobs is None:
            return _error(404, "no store is at hand")
        try:
            return self._blobs.get(bytes.fromhex(name), BLOB_BYTES)
        except BlobMissing as error:
            return _error(404, shown(error))
        except BlobTampered as error:
            return _error(409, shown(error))
        except GanchorError as error:
            return _error(502, shown(error))


def serve(
    site: Site | BundledSite,
    connection: Connection | None,
    blobs: Reader | None,
    port: int,
    on_ready: Announce,
) -> None:
    """Serve the page on loopback until SIGINT or SIGTERM.

    Args:
        site, connection, blobs: What the page shows; as for `Front`.
        port: 0 picks a free one.
        on_ready: Called with the URL as soon as requests are answered.

    Raises:
        LedgerUnusable: The port is taken.
    """
    run_until_signalled(partial(run, site, connection, blobs, port), on_ready)


async def run(
    site: Site | BundledSite,
    connection: Connection | None,
    blobs: Reader | None,
    port: int,
    announce: Announce,
    stop: asyncio.Event,
) -> None:
    """Serve until the event is set; arguments and errors as for `serve`."""
    with ThreadPoolExecutor(1, "explorer") as beside:
        front = Front(site, connection, blobs, beside)
        async with listening(front, LOOPBACK[0], port, LedgerUnusable) as url:
            announce(url)
            await stop.wait()


def _refusal(request: web.BaseRequest) -> str | None:
    """Why a request does not come from the page or a program of this machine; None if it does."""
    hosts, port = request.headers.getall("Host", []), port_of(request)
    if len(hosts) != 1 or hosts[0].lower() not in hosts_at(LOOPBACK, port):
        return f"invalid host {shown(', '.join(hosts))}: expected 127.0.0.1:{port}"
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{hosts[0]}":
        return "another site's page asks: the request has an Origin"
    return None


def _file(path: str, gzipped: bool) -> web.Response:
    """A file of the page. Only names that the page has are looked up, so no path can lead elsewhere."""
    name = "index.html" if path == "/" else path.removeprefix("/")
    if name not in page_names():
        return _error(404, f"the page has no file {shown(path)}")
    content = page_file(name)
    answer = _answer(gzip.compress(content) if gzipped else content, KINDS[Path(name).suffix])
    if gzipped:
        answer.headers["Content-Encoding"] = "gzip"
    return answer


def _recorded(content: memoryview | None) -> web.Response:
    if content is None:
        return _error(404, "the bundle does not have this file")
    return _answer(content, "application/octet-stream")


def _picture(file: Path | None) -> web.Response:
    if file is None:
        return _error(404, "nobody drew a picture of this round")
    try:
        return _answer(read_file(file, PICTURE_BYTES), "image/png")
    except FileUnusable as error:
        return _error(404, shown(error))


def _answer(body: bytes | memoryview, kind: str) -> web.Response:
    return web.Response(body=body, content_type=kind, headers=HEADERS)


def _error(status: int, reason: str) -> web.Response:
    body = json.dumps({"error": reason}).encode()
    return web.Response(status=status, body=body, content_type="application/json", headers=HEADERS)
