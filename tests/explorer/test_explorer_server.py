"""The page's server: it serves a page, passes questions on, and answers nobody else."""

from __future__ import annotations

import gzip
import http.client
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from chain.connection import connect
from chain.devnet import CHAIN_ID, devnet_in_thread
from chain.serving import running_in_thread
from fl_node.blobs.store import key_of, open_store
from fl_node.explorer.files import KINDS, PAGE
from fl_node.explorer.passing import MAX_BATCH
from fl_node.explorer.serving import HEADERS, BundledSite, Site, run

CONTRACT = "0x" + "c0" * 20

MOST_BYTES = 126_500
"""What the page weighs as it is sent, compressed: it is not meant to grow unnoticed."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("blobs")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Iterator[str]:
    database = tmp_path_factory.mktemp("chain") / "chain.db"
    with devnet_in_thread(database) as chain:
        picture = tmp_path_factory.mktemp("samples") / "round-001.png"
        picture.write_bytes(b"a picture")
        site = Site(CHAIN_ID, CONTRACT, 7, 3, {1: picture, 2: picture.with_name("gone.png")})
        serving = partial(run, site, connect(chain), open_store(store), 0)
        with running_in_thread(serving, "explorer-test") as url:
            yield url


def request(
    url: str, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, bytes, dict[str, str]]:
    """Send a request with exactly these headers."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    content = None if body is None else body if isinstance(body, bytes) else json.dumps(body)
    connection.request(method, path, content, headers)
    answer = connection.getresponse()
    found = answer.status, answer.read(), dict(answer.getheaders())
    connection.close()
    return found


def rpc(url: str, body: object) -> Any:
    status, answer, _ = request(url, "POST", "/rpc", body, **{"Content-Type": "application/json"})
    assert status == 200
    return json.loads(answer)


def call(method: str, *params: object, number: object = 1) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}


def test_the_page_and_its_files(server: str) -> None:
    for path, kind in (
        ("/", "text/html"),
        ("/main.js", "text/javascript"),
        ("/style.css", "text/css"),
    ):
        status, body, headers = request(server, "GET", path)
        assert (status, headers["Content-Type"].partition(";")[0]) == (200, kind)
        assert body
        assert headers.items() >= HEADERS.items()


def test_the_whole_page_is_light(server: str) -> None:
    paths = [f"/{file.relative_to(PAGE)}" for file in PAGE.rglob("*") if file.suffix in KINDS]
    sent = [request(server, "GET", path, **{"Accept-Encoding": "gzip"}) for path in paths]
    assert {headers["Content-Encoding"] for _, _, headers in sent} == {"gzip"}
    assert gzip.decompress(sent[0][1]) == (PAGE / paths[0][1:]).read_bytes()
    assert sum(len(body) for _, body, _ in sent) < MOST_BYTES


def test_says_where_the_history_is(server: str) -> None:
    _, body, _ = request(server, "GET", "/site.json")
    assert json.loads(body) == {
        "chain_id": CHAIN_ID,
        "contract": CONTRACT,
        "first_block": 7,
        "task": 3,
        "pictures": [1, 2],
        "witnesses": [],
    }


def test_pictures_are_given_by_round(server: str) -> None:
    assert request(server, "GET", "/pictures/1")[:2] == (200, b"a picture")
    for path in ("/pictures/2", "/pictures/3", "/pictures/round-001.png", "/pictures/../store"):
        assert request(server, "GET", path)[0] == 404


@pytest.mark.parametrize(
    "path", ["/../serving.py", "/%2e%2e/serving.py", "/nothing.js", "/package.json", "//etc/passwd"]
)
def test_nothing_but_the_page_is_served(server: str, path: str) -> None:
    assert request(server, "GET", path)[0] == 404


RECORD = {"state.json": memoryview(b"{}"), "events.json": memoryview(b"[]")}


@pytest.fixture(scope="module")
def bundled(store: Path) -> Iterator[str]:
    serving = partial(run, BundledSite(RECORD, ["alice+1+key"]), None, open_store(store), 0)
    with running_in_thread(serving, "explorer-test") as url:
        yield url


class TestServingABundle:
    def test_says_that_it_is_one(self, bundled: str) -> None:
        assert json.loads(request(bundled, "GET", "/site.json")[1]) == {
            "bundle": True,
            "witnesses": ["alice+1+key"],
        }

    def test_gives_the_record_and_the_blobs(self, bundled: str, store: Path) -> None:
        for name, content in RECORD.items():
            assert request(bundled, "GET", f"/bundle/{name}")[:2] == (200, bytes(content))
        digest = open_store(store).put(b"an update").hex()
        for path in (f"/blobs/{digest}", f"/bundle/blobs/{digest}"):
            assert request(bundled, "GET", path)[:2] == (200, b"an update")

    @pytest.mark.parametrize(
        "name", ["bundle.json", "page/main.js", "../state.json", "", "blobs/ab"]
    )
    def test_gives_nothing_else_of_it(self, bundled: str, name: str) -> None:
        assert request(bundled, "GET", f"/bundle/{name}")[0] == 404

    def test_asks_no_chain(self, bundled: str) -> None:
        sent = {"Content-Type": "application/json"}
        assert request(bundled, "POST", "/rpc", call("eth_chainId"), **sent)[0] == 404

    def test_of_a_chain_there_is_no_bundle(self, server: str) -> None:
        assert request(server, "GET", "/bundle/state.json")[0] == 404


def test_questions_are_passed_on(server: str) -> None:
    assert int(rpc(server, call("eth_chainId"))["result"], 16) == CHAIN_ID
    answers = rpc(server, [call("eth_blockNumber", number="a"), call("eth_chainId", number="b")])
    assert [answer["id"] for answer in answers] == ["a", "b"]


@pytest.mark.parametrize(
    "method", ["eth_sendRawTransaction", "evm_increaseTime", "debug_traceCall", "\n"]
)
def test_nothing_that_changes_the_chain_is_passed_on(server: str, method: str) -> None:
    answer = rpc(server, call(method, "0x00"))
    assert answer["error"]["code"] == -32601
    assert "\n" not in answer["error"]["message"]


def test_the_endpoints_refusals_come_back_as_such(server: str) -> None:
    assert "error" in rpc(server, call("eth_getLogs", {"fromBlock": "0x5", "toBlock": "0x1"}))


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"1",
        b"[" * 5000,
        [call("eth_chainId")] * (MAX_BATCH + 1),
        {"method": 3},
        {"method": "eth_call", "params": {}},
    ],
)
def test_what_is_no_request_is_refused(server: str, body: object) -> None:
    answer = rpc(server, body)
    assert answer["error"]["code"] == -32600


def test_blobs_are_given_by_digest(server: str, store: Path) -> None:
    written = open_store(store)
    digest = written.put(b"a model")
    assert request(server, "GET", f"/blobs/{digest.hex()}")[:2] == (200, b"a model")
    assert request(server, "GET", f"/blobs/{'00' * 32}")[0] == 404
    path = store / key_of(digest)
    path.chmod(0o600)
    path.write_bytes(b"another")
    assert request(server, "GET", f"/blobs/{digest.hex()}")[0] == 409


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "attacker.example"},
        {"Host": "attacker.example:80"},
        {"Origin": "http://attacker.example"},
        {"Origin": "null"},
    ],
    ids=str,
)
def test_other_sites_pages_are_not_answered(server: str, headers: dict[str, str]) -> None:
    for path in ("/", "/site.json", f"/blobs/{'00' * 32}"):
        assert request(server, "GET", path, **headers)[0] == 403
    sent = {**headers, "Content-Type": "application/json"}
    assert request(server, "POST", "/rpc", call("eth_chainId"), **sent)[0] == 403


def test_a_form_cannot_ask(server: str) -> None:
    sent = {"Content-Type": "text/plain"}
    assert request(server, "POST", "/rpc", call("eth_chainId"), **sent)[0] == 415


def test_bodies_are_bounded(server: str) -> None:
    sent = {"Content-Type": "application/json"}
    assert request(server, "POST", "/rpc", b" " * (2 << 20), **sent)[0] == 413
