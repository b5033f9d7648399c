"""A bad line to a good endpoint: a proxy over HTTP that delays, refuses, cuts, drips and lies, for a chain or a store.

with Proxies(seed=7) as proxies:
    chain = proxies.to("http://127.0.0.1:8545", link=link(up=2))
    chain.weather = Weather(latency=0.3, refused=0.2)

All proxies run in one thread. A request is passed on byte by byte, so signatures stay valid, and big bodies take the
time that the line allows.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from math import ceil
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
from aiohttp import web
from weather import FINE, Bucket, Dice, Fault, Link, Weather
from yarl import URL

T = TypeVar("T")
CHUNK = 16 << 10
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"}
WRITES = ("eth_send", "evm_", "anvil_", "hardhat_", "eth_newFilter", "eth_newBlockFilter")
"""Methods whose answers are never repeated as a lie."""


class FaultProxy:
    """One door to an endpoint.

    Attributes:
        url: Where it listens.
        weather: May be changed at any time.
        bucket: Holds requests back, if the weather has a rate; several proxies may share one. None: a new one.
        link: What the bytes pass through.
        asked: How often each was asked: JSON-RPC methods, or `PUT`, `GET`, `HEAD`.
        requests: How many requests came, a batch being one.
        faults: What happened to them.
        sent, received: Bytes of bodies, as the client sees it.
    """

    def __init__(self, upstream: str, dice: Dice, link: Link, weather: Weather) -> None:
        self.url = ""
        self.weather = weather
        self.bucket: Bucket | None = None
        self.link = link
        self.asked: Counter[str] = Counter()
        self.requests = 0
        self.faults: Counter[Fault] = Counter()
        self.sent = self.received = 0
        self._upstream = upstream.rstrip("/")
        self._dice = dice
        self._seen: dict[str, list[Any]] = {}

    async def handle(
        self, request: web.Request, client: aiohttp.ClientSession
    ) -> web.StreamResponse:
        """Carry one request through the weather."""
        weather = self.weather
        self.requests += 1
        if weather.down:
            return _cut(request)
        if wait := self._too_many(weather):
            self.faults[Fault.REFUSED] += 1
            await self._read(request)
            return _refusal(429, wait)
        fault = self._dice.fault(weather)
        self.faults[fault] += 1
        if fault is Fault.CUT_BEFORE:
            await request.content.readany()
            return _cut(request)
        await asyncio.sleep(weather.latency / 2)
        if fault is Fault.REFUSED:
            await self._read(request)
            return _refusal(self._dice.status())
        if request.method == "POST" and request.content_type == "application/json":
            return await self._ask_chain(request, client, fault)
        return await self._ask_store(request, client, fault)

    def _too_many(self, weather: Weather) -> float:
        if weather.rate is None:
            return 0.0
        self.bucket = self.bucket or Bucket(weather.rate)
        return self.bucket.take()

    async def _ask_chain(
        self, request: web.Request, client: aiohttp.ClientSession, fault: Fault
    ) -> web.StreamResponse:
        body = await self._read(request)
        asked = json.loads(body)
        calls = asked if isinstance(asked, list) else [asked]
        self.asked.update(call["method"] for call in calls)
        async with self._pass_on(request, client, body) as reply:
            content = await reply.read()
            status = reply.status
        if status == 200:
            content = self._remembered(asked, content, fault is Fault.LIE)
        return await self._answer(
            request, fault, status, {"Content-Type": "application/json"}, content
        )

    def _remembered(self, asked: Any, content: bytes, lies: bool) -> bytes:
        """The answer, or, as a lie, the oldest of the last answers to the same question."""
        calls, answers = (_listed(one) for one in (asked, json.loads(content)))
        if any(call["method"].startswith(WRITES) for call in calls) or len(calls) != len(answers):
            return content
        question = json.dumps([[call["method"], call.get("params")] for call in calls])
        told = self._seen.setdefault(question, [])
        del told[:-4]
        told.append(answers)
        if not lies:
            return content
        by_place = dict(zip([one.get("id") for one in answers], told[0], strict=False))
        lie = [{**by_place[one.get("id")], "id": one.get("id")} for one in answers]
        return json.dumps(lie if isinstance(asked, list) else lie[0]).encode()

    async def _ask_store(
        self, request: web.Request, client: aiohttp.ClientSession, fault: Fault
    ) -> web.StreamResponse:
        self.asked[request.method] += 1
        reads = request.method in ("GET", "HEAD")
        if fault is Fault.LIE and reads and (request.method == "HEAD" or self._dice.heads()):
            return web.Response(status=404)
        async with self._pass_on(request, client, self._streamed(request)) as reply:
            headers = _kept(reply.headers)
            if request.method == "HEAD":
                return await self._answer(request, fault, reply.status, headers, b"")
            content = await reply.read()
        if fault is Fault.LIE and reads and content:
            content = content[:-1] + bytes([content[-1] ^ 1])
        return await self._answer(request, fault, reply.status, headers, content)

    def _pass_on(self, request: web.Request, client: aiohttp.ClientSession, body: Any) -> Any:
        url = URL(self._upstream + request.raw_path, encoded=True)
        headers = _kept(request.headers)
        if isinstance(body, bytes):
            headers.pop("Host", None)  # A store's signature covers it, and a chain wants its own.
        return client.request(
            request.method,
            url,
            headers=headers,
            data=body if request.body_exists else None,
            allow_redirects=False,
        )

    async def _read(self, request: web.Request) -> bytes:
        return b"".join([part async for part in self._streamed(request)])

    async def _streamed(self, request: web.Request) -> AsyncIterator[bytes]:
        async for part in request.content.iter_chunked(CHUNK):
            self.sent += len(part)
            await self.link.up.carry(len(part))
            yield part

    async def _answer(
        self,
        request: web.Request,
        fault: Fault,
        status: int,
        headers: dict[str, str],
        content: bytes,
    ) -> web.StreamResponse:
        await asyncio.sleep(self.weather.latency / 2)
        headers.setdefault("Content-Length", str(len(content)))
        answer = web.StreamResponse(status=status, headers=headers)
        await answer.prepare(request)
        end = len(content) // 2 if fault is Fault.CUT_AFTER else len(content)
        pieces = 10 if fault is Fault.DRIP else ceil(end / CHUNK)
        size = max(1, ceil(end / max(1, pieces)))
        for start in range(0, end, size):
            part = content[start : min(start + size, end)]
            self.received += len(part)
            await self.link.down.carry(len(part))
            if fault is Fault.DRIP:
                await asyncio.sleep(self.weather.drip_seconds / pieces)
            await answer.write(part)
        if fault is Fault.CUT_AFTER:
            return _cut(request)
        await answer.write_eof()
        return answer


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _kept(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}


def _refusal(status: int, wait: float = 0.0) -> web.Response:
    headers = {"Retry-After": str(ceil(wait))} if wait else {}
    return web.Response(status=status, headers=headers, text="not now")


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)  # Nobody reads it.


class Proxies:
    """Any number of proxies, which one thread serves as long as the `with` block lasts."""

    def __init__(self, seed: object = 0) -> None:
        self._seed = seed
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._client: aiohttp.ClientSession | None = None
        self._runners: list[web.AppRunner] = []

    def __enter__(self) -> Self:
        self._thread.start()
        self._client = self._call(_session())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def to(
        self,
        upstream: str,
        link: Link | None = None,
        weather: Weather = FINE,
        listening: socket.socket | None = None,
    ) -> FaultProxy:
        """A new proxy in front of an endpoint, behind a socket that listens; None: on a free port of this host."""
        dice = Dice(f"{self._seed} {len(self._runners)}")
        proxy = FaultProxy(upstream, dice, link or Link(), weather)
        door = listening or socket.create_server(("127.0.0.1", 0))
        host, port = door.getsockname()
        proxy.url = f"http://{host}:{port}"
        self._call(self._serve(proxy, door))
        return proxy

    async def _serve(self, proxy: FaultProxy, door: socket.socket) -> None:
        client = self._client
        assert client is not None

        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                return await proxy.handle(request, client)
            except (aiohttp.ClientError, ConnectionError, TimeoutError):
                return _cut(request)  # The endpoint itself is away, or the client has hung up.

        server = web.Server(handle, access_log=None, max_field_size=1 << 16)
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        await web.SockSite(runner, door).start()
        self._runners.append(runner)

    async def _close(self) -> None:
        for runner in self._runners:
            await runner.cleanup()
        if self._client is not None:
            await self._client.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


async def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None),
        connector=aiohttp.TCPConnector(limit=0, force_close=False),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
    )
