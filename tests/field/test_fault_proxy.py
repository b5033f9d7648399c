"""The weather itself: what the proxy does to a request, and that the dice repeat themselves."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from chains import DIRECT
from fault_proxy import FaultProxy, Proxies
from weather import FINE, Dice, Fault, Weather, link

BLOB = bytes(range(256)) * 1_000


class Upstream:
    """An endpoint that counts: blocks for a chain, blobs for a store."""

    def __init__(self) -> None:
        self.url = ""
        self.block = 0
        self.put: list[int] = []


@contextmanager
def upstream() -> Iterator[Upstream]:
    there = Upstream()

    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            there.block += 1
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = {"jsonrpc": "2.0", "id": asked["id"], "result": hex(there.block)}
            self.say(json.dumps(answer).encode())

        def do_PUT(self) -> None:
            there.put.append(len(self.rfile.read(int(self.headers["Content-Length"]))))
            self.say(b"")

        def do_GET(self) -> None:
            self.say(BLOB)

        def say(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        there.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield there
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def there() -> Iterator[Upstream]:
    with upstream() as one:
        yield one


@pytest.fixture
def proxies() -> Iterator[Proxies]:
    with Proxies(seed=1) as several:
        yield several


def ask_block(proxy: FaultProxy, number: int = 1) -> int:
    body = {"jsonrpc": "2.0", "id": number, "method": "eth_blockNumber", "params": []}
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(proxy.url, json.dumps(body).encode(), headers)
    with DIRECT.open(request, timeout=60) as response:
        answer = json.load(response)
    assert answer["id"] == number
    return int(answer["result"], 16)


def get(proxy: FaultProxy) -> bytes:
    with DIRECT.open(proxy.url + "/blob", timeout=60) as response:
        content: bytes = response.read()
        return content


def put(proxy: FaultProxy, blob: bytes) -> None:
    request = urllib.request.Request(proxy.url + "/blob", blob, method="PUT")
    DIRECT.open(request, timeout=60).close()


def test_good_weather_changes_nothing(there: Upstream, proxies: Proxies) -> None:
    proxy = proxies.to(there.url)
    assert ask_block(proxy) == 1
    assert get(proxy) == BLOB
    put(proxy, BLOB)
    assert there.put == [len(BLOB)]
    assert proxy.asked == {"eth_blockNumber": 1, "GET": 1, "PUT": 1}
    assert proxy.faults == {Fault.NONE: 3}
    assert len(BLOB) < proxy.sent < len(BLOB) + 100
    assert len(BLOB) < proxy.received < len(BLOB) + 100


def test_more_than_the_rate_is_told_when_to_come_again(
    there: Upstream, proxies: Proxies, monkeypatch: pytest.MonkeyPatch
) -> None:
    standing = SimpleNamespace(monotonic=lambda: 0.0)  # No token grows back between the requests.
    monkeypatch.setattr("weather.time", standing)
    proxy = proxies.to(there.url, weather=Weather(rate=2))
    assert [ask_block(proxy) for _ in range(2)] == [1, 2]
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask_block(proxy)
    assert refused.value.code == 429
    assert refused.value.headers["Retry-After"] == "1"
    refused.value.close()
    assert there.block == 2


def test_a_refused_request_never_arrives(there: Upstream, proxies: Proxies) -> None:
    proxy = proxies.to(there.url, weather=Weather(refused=1))
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask_block(proxy)
    refused.value.close()
    assert there.block == 0


@pytest.mark.parametrize(("weather", "arrived"), [("cut_before", 0), ("cut_after", 1), ("down", 0)])
def test_a_cut_is_before_or_after_the_deed(
    there: Upstream, proxies: Proxies, weather: str, arrived: int
) -> None:
    changes: dict[str, Any] = {weather: 1}
    proxy = proxies.to(there.url, weather=Weather(**changes))
    with pytest.raises((http.client.HTTPException, OSError)):
        ask_block(proxy)
    assert there.block == arrived


def test_lies_are_what_was_true_before_and_heal(there: Upstream, proxies: Proxies) -> None:
    proxy = proxies.to(there.url)
    assert [ask_block(proxy, number) for number in (7, 8)] == [1, 2]
    proxy.weather = Weather(lies=1)
    assert ask_block(proxy, 9) == 1
    proxy.weather = FINE
    assert ask_block(proxy, 10) == 4


def test_a_store_lies_with_a_missing_blob_or_a_garbled_one(
    there: Upstream, proxies: Proxies
) -> None:
    proxy = proxies.to(there.url, weather=Weather(lies=1))
    found = set()
    for _ in range(12):
        try:
            found.add(get(proxy) == BLOB)
        except urllib.error.HTTPError as missing:
            found.add(missing.code)
            missing.close()
    assert found == {False, 404}


def test_a_narrow_line_takes_its_time_in_each_direction(there: Upstream, proxies: Proxies) -> None:
    proxy = proxies.to(there.url, link=link(up=8, down=16))  # 1 MB/s and 2 MB/s
    for move, least in ((lambda: put(proxy, BLOB), 0.25), (lambda: get(proxy), 0.12)):
        began = time.monotonic()
        move()
        assert time.monotonic() - began >= least


def test_a_drip_is_slow_and_whole(there: Upstream, proxies: Proxies) -> None:
    proxy = proxies.to(there.url, weather=Weather(drips=1, drip_seconds=0.3))
    began = time.monotonic()
    assert get(proxy) == BLOB
    assert time.monotonic() - began >= 0.3


def test_one_seed_throws_the_same_dice() -> None:
    weather = Weather(refused=0.2, cut_before=0.1, cut_after=0.1, drips=0.1, lies=0.1)
    first, second, other = (Dice(seed) for seed in (1, 1, 2))
    thrown = [[dice.fault(weather) for _ in range(200)] for dice in (first, second, other)]
    assert thrown[0] == thrown[1] != thrown[2]
    assert set(thrown[0]) == set(Fault)
