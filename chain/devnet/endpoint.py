"""JSON-RPC 2.0 over HTTP: framing, batches, error codes; and the devnet as a process or a thread.

Source: https://www.jsonrpc.org/specification, and geth for the codes of its own: 3 is a revert,
with what it gave back as `data`; -32000 a refusal; -32005 a limit.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from chain.devnet.blocks import Chain, Failed, Refused
from chain.devnet.database import Database
from chain.devnet.methods import Methods, MethodUnknown, TooMuch
from chain.devnet.params import ParamsInvalid
from chain.errors import DevnetUnusable
from chain.types import Address

CHAIN_ID = 31337
PORT = 8545
FUNDS_WEI = 1000 * 10**18
MAX_REQUEST_BYTES = 1 << 22
MAX_BATCH = 1000
MAX_BRACKETS = 10_000
"""py-evm lifts Python's limit on recursion, so that deeply nested JSON would overrun the stack."""

_CODES: dict[type[Exception], int] = {
    MethodUnknown: -32601,
    ParamsInvalid: -32602,
    TooMuch: -32005,
    Refused: -32000,
}
_log = logging.getLogger(__name__)


def serve(
    database: Path,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    chain_id: int = CHAIN_ID,
    fund: Sequence[Address] = (),
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Run the devnet until SIGINT or SIGTERM.

    Args:
        database: The chain's file; made if it is not there, otherwise the chain goes on.
        port: 0 for any free one.
        fund: Accounts that are given 1000 ether, if they have less.
        on_ready: Called with the URL as soon as requests are answered; by default one line of JSON
            with `url` and `chain_id` goes to standard output.

    Raises:
        DevnetUnusable: The database is in use or no chain of this id, or the port is taken.
    """
    announce = on_ready or (lambda url: _announce(url, chain_id))

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await _run(database, host, port, chain_id, fund, announce, stop)

    asyncio.run(main())


@contextmanager
def devnet_in_thread(
    database: Path, *, port: int = 0, chain_id: int = CHAIN_ID, fund: Sequence[Address] = ()
) -> Iterator[str]:
    """Run the devnet beside the caller, on a free port by default; gives its URL. For tests.

    Raises:
        DevnetUnusable: As `serve`.
    """
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    ready: asyncio.Future[str] = loop.create_future()
    started = threading.Event()

    async def main() -> None:
        def announce(url: str) -> None:
            ready.set_result(url)
            started.set()

        try:
            await _run(database, "127.0.0.1", port, chain_id, fund, announce, stop)
        except Exception as error:
            if ready.done():
                raise
            ready.set_exception(error)
            started.set()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),), name="devnet")
    thread.start()
    try:
        started.wait()
        yield ready.result()
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


async def _run(
    database: Path,
    host: str,
    port: int,
    chain_id: int,
    fund: Sequence[Address],
    announce: Callable[[str], None],
    stop: asyncio.Event,
) -> None:
    """Answer requests until `stop`. py-evm is not made for threads: one thread runs all of it."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, "devnet-chain") as executor:
        store = await loop.run_in_executor(executor, Database, database)
        try:
            methods = await loop.run_in_executor(executor, _prepare, store, chain_id, fund)

            async def handle(request: web.Request) -> web.Response:
                body = await request.read()
                answer = await loop.run_in_executor(executor, answer_body, methods, body)
                return web.Response(body=answer, content_type="application/json")

            await _listen(handle, host, port, announce, stop)
        finally:
            await loop.run_in_executor(executor, store.close)


def _prepare(database: Database, chain_id: int, fund: Sequence[Address]) -> Methods:
    chain = Chain(database, chain_id)
    for address in fund:
        raw = bytes.fromhex(address[2:])
        if chain.state_at(chain.head).get_balance(raw) < FUNDS_WEI:
            chain.raise_balance(raw, FUNDS_WEI)
    return Methods(chain)


async def _listen(
    handle: Any, host: str, port: int, announce: Callable[[str], None], stop: asyncio.Event
) -> None:
    application = web.Application(client_max_size=MAX_REQUEST_BYTES)
    application.router.add_post("/", handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise DevnetUnusable(f"cannot listen on {host}:{port}: {error.strerror}") from None
        announce(f"http://{host}:{runner.addresses[0][1]}")
        await stop.wait()
    finally:
        await runner.cleanup()


def _announce(url: str, chain_id: int) -> None:
    sys.stdout.write(json.dumps({"url": url, "chain_id": chain_id}) + "\n")
    sys.stdout.flush()


def answer_body(methods: Methods, body: bytes) -> bytes:
    """Answer the body of an HTTP request: one JSON-RPC request, or a batch. Never raises.

    Returns:
        JSON; nothing at all where every request is a notification.
    """
    if body.count(b"[") + body.count(b"{") > MAX_BRACKETS:
        return _encode(_error(None, -32600, f"a request holds at most {MAX_BRACKETS} brackets"))
    try:
        request = json.loads(body)
    except ValueError:
        return _encode(_error(None, -32700, "parse error"))
    if not isinstance(request, list):
        answer = _answer(methods, request)
        return b"" if answer is None else _encode(answer)
    if not 1 <= len(request) <= MAX_BATCH:
        return _encode(_error(None, -32600, f"a batch holds 1 to {MAX_BATCH} requests"))
    answers = [answer for item in request if (answer := _answer(methods, item)) is not None]
    return _encode(answers) if answers else b""


def _answer(methods: Methods, request: Any) -> dict[str, Any] | None:
    """Answer one request; None for a notification, which carries no id."""
    if not isinstance(request, dict) or not isinstance(request.get("method"), str):
        return _error(None, -32600, "invalid request")
    params = request.get("params") or []
    if not isinstance(params, list):
        return _error(request.get("id"), -32602, "params must be an array")
    answer = _result(methods, request.get("id"), request["method"], params)
    return answer if "id" in request else None


def _result(methods: Methods, number: Any, method: str, params: list[Any]) -> dict[str, Any]:
    try:
        return {"jsonrpc": "2.0", "id": number, "result": methods.call(method, params)}
    except Failed as error:
        if error.data is None:
            return _error(number, -32000, str(error))
        return _error(number, 3, str(error), "0x" + error.data.hex())
    except tuple(_CODES) as error:
        return _error(number, _CODES[type(error)], str(error))
    except sqlite3.Error as error:
        return _error(number, -32603, f"the devnet's database: {error}")
    except Exception:
        _log.exception("%s failed", method)
        return _error(number, -32603, "internal error")


def _error(number: Any, code: int, message: str, data: str | None = None) -> dict[str, Any]:
    error = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return {"jsonrpc": "2.0", "id": number, "error": error}


def _encode(answer: object) -> bytes:
    return json.dumps(answer).encode()
