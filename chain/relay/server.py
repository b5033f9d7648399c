"""A relay behind HTTP.

    POST /acts          an act (`chain.relay.submission`): {"act": "0x...", "status": "waiting"}
    GET  /acts/0x...    the same about an act that was posted before
    GET  /healthz       what the relay serves, and how much gas it may still spend (`chain.relay.health`)

The status is waiting, posted (with the transaction) or refused (with the reason). What is no act at all gets an HTTP
status of 400 and more, and a JSON object with the `error`. Web pages are not answered: every request of a page that
could do something has an `Origin`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from aiohttp import web

from chain.errors import ActInvalid, LedgerError, LedgerUnusable
from chain.relay.health import health_to_json
from chain.relay.limits import Bucket
from chain.relay.outcome import outcome_to_json
from chain.relay.relayer import Relayer, TooManyRequests
from chain.relay.submission import MAX_BODY_BYTES, read_submission
from chain.serving import (
    Announce,
    BoundedServer,
    listening,
    run_until_signalled,
    running_in_thread,
)
from chain.text import shown

CONNECTIONS = 200
WAITING_SECONDS = 30.0
REQUESTS = (200.0, 50.0)
"""How many requests are answered at once, and how many a second after these, whoever asks."""

PAUSE_SECONDS = 1.0
"""Between two looks for acts that have waited long enough."""

_ACTS = "/acts"
_log = logging.getLogger(__name__)


class Front(BoundedServer):
    """Turns requests into calls of a relayer.

    Args:
        relayer: Takes the acts.
        beside: One thread, in which signatures are checked and the chain is asked.
    """

    def __init__(self, relayer: Relayer, beside: ThreadPoolExecutor) -> None:
        super().__init__(self._handle, MAX_BODY_BYTES, CONNECTIONS, WAITING_SECONDS)
        self._relayer = relayer
        self._beside = beside
        self._bucket = Bucket(*REQUESTS)

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        if not self._bucket.take(time.monotonic()):
            return _too_many("too many requests")
        if "Origin" in request.headers:
            return _error(403, "web pages are not answered: the request has an Origin")
        match request.method, request.path:
            case "POST", "/acts":
                return await self._take(request)
            case "GET", "/healthz":
                return _answer(health_to_json(self._relayer.health()))
            case "GET", path if path.startswith(f"{_ACTS}/"):
                return self._tell(path.removeprefix(f"{_ACTS}/"))
            case _:
                return _error(404, "there are POST /acts, GET /acts/0x... and GET /healthz")

    async def _take(self, request: web.BaseRequest) -> web.Response:
        if request.content_type != "application/json":
            return _error(415, "expected Content-Type: application/json")
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return _error(413, f"an act has at most {MAX_BODY_BYTES} bytes")
        loop = asyncio.get_running_loop()
        async with self.unhurried(request):
            return await loop.run_in_executor(self._beside, self._submit, body)

    def _submit(self, body: bytes) -> web.Response:
        try:
            submission = read_submission(body)
            return _answer(outcome_to_json(submission.id, self._relayer.submit(submission)))
        except ActInvalid as error:
            return _error(400, shown(error))
        except TooManyRequests:
            return _too_many("too many requests of this member")
        except LedgerError as error:
            return _error(503, shown(error))

    def _tell(self, text: str) -> web.Response:
        try:
            act = bytes.fromhex(text.removeprefix("0x"))
        except ValueError:
            return _error(400, "an act is named by 0x and 64 hex digits")
        outcome = self._relayer.outcome(act)
        if outcome is None:
            return _error(404, "no such act is known here")
        return _answer(outcome_to_json(act, outcome))


def serve(relayer: Relayer, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Run a relay until SIGINT or SIGTERM; then post what is at hand, and end.

    Args:
        relayer: Takes and posts the acts.
        host, port: Where to listen; port 0 picks a free one.
        on_ready: Called with the URL as soon as the relay answers requests.

    Raises:
        LedgerUnusable: The port is taken.
    """
    with _posting(relayer):
        run_until_signalled(partial(_run, relayer, host, port), on_ready)


@contextmanager
def relay_in_thread(relayer: Relayer) -> Iterator[str]:
    """Run a relay in threads, on a free port of 127.0.0.1; yields its URL. For tests."""
    run = partial(_run, relayer, "127.0.0.1", 0)
    with _posting(relayer), running_in_thread(run, "relay") as url:
        yield url


async def _run(
    relayer: Relayer, host: str, port: int, announce: Announce, stop: asyncio.Event
) -> None:
    with ThreadPoolExecutor(1, "relay-acts") as beside:
        async with listening(Front(relayer, beside), host, port, LedgerUnusable) as url:
            announce(url)
            await stop.wait()


@contextmanager
def _posting(relayer: Relayer) -> Iterator[None]:
    """Post acts in a thread of their own for as long as the block lasts, and then those that are left."""
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            relayer.wanted.wait(PAUSE_SECONDS)
            if not stop.is_set():
                _guarded(relayer.turn)
        _guarded(relayer.post_all)

    thread = threading.Thread(target=run, name="relay-posting")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        relayer.wanted.set()
        thread.join()


def _guarded(act: Callable[[], None]) -> None:
    """A fault in one turn must not end the posting of acts, which nobody would see."""
    try:
        act()
    except Exception:
        _log.exception("a turn of the relay failed")


def _answer(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def _error(status: int, reason: str, headers: dict[str, str] | None = None) -> web.Response:
    body = json.dumps({"error": reason}).encode()
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)


def _too_many(reason: str) -> web.Response:
    return _error(429, reason, {"Retry-After": "1"})
