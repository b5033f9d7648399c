"""An endpoint that is not a node, or is a bad one, costs a bounded time and one line, whatever it sends."""

from __future__ import annotations

import gzip
import json
import ssl
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from ports import deaf_port, free_port
from proxy import BARE, EVERY, Proxy, Reply, proxy_to, refusal

from chain import answers
from chain.connection import SILENCES, Connection, chain_id_at, connect
from chain.devnet import CHAIN_ID, devnet_in_thread
from chain.endpoint import Question
from chain.errors import (
    ChainMismatch,
    ChainRefused,
    ChainUnreachable,
    EndpointInvalid,
    LedgerError,
    LedgerUnusable,
)
from chain.transport import MAX_ANSWER_BYTES

LOOPBACK = ip_address("127.0.0.1")
SECONDS = 0.8
"""What these tests allow an answer to take; half of it a single try."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with devnet_in_thread(tmp_path_factory.mktemp("devnet") / "chain.db") as address:
        yield address


@pytest.fixture
def proxy(url: str) -> Iterator[Proxy]:
    with proxy_to(url) as strange:
        yield strange


@pytest.fixture
def connection(proxy: Proxy) -> Connection:
    """Connected before the endpoint becomes strange."""
    return connect(proxy.url, seconds=20.0)


@pytest.fixture
def hasty(proxy: Proxy) -> Connection:
    """For endpoints of which nothing comes in time, and for these alone: others are slow only as the machine is.

    It knows its chain, so that it asks for nothing before the endpoint becomes strange.
    """
    return Connection(proxy.url, seconds=SECONDS, chain_id=CHAIN_ID)


def block_number(connection: Connection) -> int:
    return connection.ask(answers.quantity, "eth_blockNumber")


class TestConnecting:
    def test_another_chain(self, url: str) -> None:
        with pytest.raises(ChainMismatch, match=f"serves chain {CHAIN_ID}, expected 1"):
            connect(url, 1)

    def test_which_chain_is_there(self, url: str) -> None:
        assert chain_id_at(url) == CHAIN_ID

    def test_nothing_listens(self) -> None:
        with deaf_port() as port, pytest.raises(ChainUnreachable) as caught:
            connect(f"http://127.0.0.1:{port}")
        assert (
            str(caught.value) == f"no chain answers at http://127.0.0.1:{port}: Connection refused"
        )

    def test_no_such_host(self) -> None:
        with pytest.raises(ChainUnreachable, match=r"no chain answers at http://nowhere\.invalid"):
            connect("http://nowhere.invalid", seconds=SECONDS)

    def test_the_first_answer_may_be_lost(self, proxy: Proxy) -> None:
        cut = iter(
            [
                Reply(b"{", headers={"Content-Length": "99"}),
                Reply(b"x", headers={"Content-Length": "9"}),
            ]
        )
        proxy.on(EVERY, lambda request, ask: next(cut, None) or ask())
        assert connect(proxy.url).chain_id == CHAIN_ID


class TestTime:
    def test_an_answer_that_drips_ends_in_time(self, proxy: Proxy, hasty: Connection) -> None:
        proxy.on(EVERY, lambda request, ask: Reply(proxy.drip()))
        assert_unreachable_in_time(hasty, r"no whole answer within 0\.4 s")

    def test_a_dripping_chunk_ends_in_time(self, proxy: Proxy, hasty: Connection) -> None:
        chunked = {"Transfer-Encoding": "chunked"}
        proxy.on(EVERY, lambda request, ask: Reply(proxy.drip(byte=b"0"), headers=chunked))
        assert_unreachable_in_time(hasty, "no whole answer")

    def test_a_dripping_header_ends_in_time(self, proxy: Proxy, hasty: Connection) -> None:
        proxy.on(EVERY, lambda request, ask: Reply(slow_header(proxy), BARE))
        assert_unreachable_in_time(hasty, "no whole answer")

    def test_silence_ends_in_time(self, proxy: Proxy, hasty: Connection) -> None:
        proxy.on(EVERY, lambda request, ask: Reply(silence(proxy)))
        assert_unreachable_in_time(hasty, "no whole answer")


def assert_unreachable_in_time(connection: Connection, message: str) -> None:
    start = time.monotonic()
    with pytest.raises(ChainUnreachable, match=message):
        block_number(connection)
    assert time.monotonic() - start < 20


def silence(proxy: Proxy) -> Iterator[bytes]:
    proxy.closed.wait()
    yield b""


def slow_header(proxy: Proxy) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nServer: "
    yield from proxy.drip(byte=b"x")


def certificate(folder: Path) -> Path:
    """A key and a certificate for 127.0.0.1, signed by itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(LOOPBACK)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    plain = serialization.NoEncryption()
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path.write_bytes(key.private_bytes(*pem, plain) + signed.public_bytes(pem[0]))
    return path


class TestOtherWays:
    """The limits hold over TLS and through a proxy of the environment, too."""

    @pytest.fixture(params=["https", "environment"])
    def way(
        self,
        request: pytest.FixtureRequest,
        url: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> Iterator[tuple[Proxy, str]]:
        """A strange endpoint, and the URL by which it is asked."""
        if request.param == "environment":
            with proxy_to(url) as proxy:
                monkeypatch.setenv("http_proxy", proxy.url)
                yield proxy, "http://endpoint.invalid"
            return
        pem = certificate(tmp_path)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(pem)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
        with proxy_to(url, tls) as proxy:
            yield proxy, proxy.url

    def test_an_answer_has_a_deadline_and_a_length(self, way: tuple[Proxy, str]) -> None:
        proxy, address = way
        connection = connect(address, seconds=20.0)
        assert block_number(connection) == 0
        proxy.on(EVERY, lambda request, ask: Reply(spaces()))
        with pytest.raises(ChainRefused, match="too long to be read"):
            block_number(connection)
        proxy.on(EVERY, lambda request, ask: Reply(proxy.drip()))
        hasty = Connection(address, seconds=SECONDS, chain_id=CHAIN_ID)
        assert_unreachable_in_time(hasty, r"no whole answer within 0\.4 s")

    def test_a_certificate_that_nobody_vouches_for_is_refused(
        self, url: str, tmp_path: Path
    ) -> None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate(tmp_path))
        refused = pytest.raises(ChainUnreachable, match="CERTIFICATE_VERIFY_FAILED")
        with proxy_to(url, tls) as proxy, refused as caught:
            connect(proxy.url + "/hidden-key", seconds=20.0)
        assert "hidden" not in str(caught.value)


class TestSize:
    def test_an_answer_without_end_is_left_alone(
        self, proxy: Proxy, connection: Connection
    ) -> None:
        proxy.on(EVERY, lambda request, ask: Reply(spaces()))
        with pytest.raises(ChainRefused, match="the answer is too long to be read"):
            block_number(connection)

    def test_a_length_beyond_all_measure_takes_no_memory(
        self, proxy: Proxy, connection: Connection
    ) -> None:
        proxy.on(EVERY, lambda r, ask: Reply(b"{", headers={"Content-Length": str(10**15)}))
        with pytest.raises(ChainUnreachable, match="no chain answers"):
            block_number(connection)

    def test_what_was_packed_is_not_unpacked(self, proxy: Proxy, connection: Connection) -> None:
        bomb = gzip.compress(b" " * MAX_ANSWER_BYTES)
        proxy.reply(EVERY, Reply(bomb, headers={"Content-Encoding": "gzip"}))
        with pytest.raises(ChainRefused, match=r"the answer is compressed \(gzip\)"):
            block_number(connection)


def spaces() -> Iterator[bytes]:
    while True:
        yield b" " * (1 << 20)


NUMBER = '{"jsonrpc": "2.0", "id": %d, "result": %s}'


class TestCookies:
    def test_none_is_kept(self, proxy: Proxy) -> None:
        proxy.change("eth_chainId", lambda found: found)
        proxy.on(EVERY, lambda request, ask: Reply(b"", 503, {"Set-Cookie": "name=" + "x" * 4_000}))
        connection = connect(proxy.url, patience=0)
        for _ in range(2):
            with pytest.raises(ChainUnreachable, match="503"):
                block_number(connection)
        assert not any("Cookie" in headers for headers in proxy.headers)


class TestForm:
    @pytest.mark.parametrize(
        "body", [b"<html>", b"", b"[]", b"{}", b'"x"', b"null", b"\xff", b'{"result": 5}', b"NaN"]
    )
    def test_what_is_no_json_rpc(self, proxy: Proxy, body: bytes) -> None:
        proxy.reply(EVERY, Reply(body))
        with pytest.raises(ChainUnreachable, match="does not answer eth_chainId as a chain does"):
            connect(proxy.url)

    def test_the_answer_to_another_request(self, proxy: Proxy, connection: Connection) -> None:
        proxy.on(EVERY, lambda request, ask: ask() | {"id": request["id"] + 1})
        with pytest.raises(ChainUnreachable, match="not a JSON-RPC answer"):
            block_number(connection)

    @pytest.mark.parametrize("nest", [b"[%s]", b'{"a":%s}', b'["[",%s]'])
    def test_deep_nesting_is_refused_before_it_is_parsed(
        self, proxy: Proxy, connection: Connection, nest: bytes
    ) -> None:
        before, after = nest.split(b"%s")
        proxy.reply(EVERY, Reply(before * 200_000 + b"1" + after * 200_000))
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(100_000)  # as py-evm sets it
        try:
            with pytest.raises(ChainUnreachable, match="nested more than 64 deep"):
                block_number(connection)
        finally:
            sys.setrecursionlimit(limit)

    @pytest.mark.timeout(60)  # milliseconds are enough; without the bound it is minutes
    @pytest.mark.parametrize("opening", [b"[", b'{"a":', b'"\\' * 1_000, b'["\\\\",'])
    def test_brackets_without_an_end_are_refused_at_once(self, opening: bytes) -> None:
        with pytest.raises(ValueError):
            answers.parse_json(opening * (2_000_000 // len(opening)))

    @pytest.mark.parametrize(
        "number",
        ["1e999999999", "-1", "1.0", "9" * 4_000, "9" * 5_000, "NaN", "Infinity", "true", "[]",
         '"0x"', '"0xzz"', '"0x1"' + " " * 9, '"0x10000000000000000"', '"12"', '"-0x1"', '"0x-1"',
         '"0x' + "f" * 100_000 + '"'],
        ids=lambda text: str(text)[:12],
    )  # fmt: skip
    def test_numbers_that_are_none_or_out_of_range(
        self, proxy: Proxy, connection: Connection, number: str
    ) -> None:
        proxy.on(EVERY, lambda request, ask: Reply((NUMBER % (request["id"], number)).encode()))
        if number.startswith('"0x1" '):  # the same with white space around is fine
            assert block_number(connection) == 1
            return
        with pytest.raises(ChainUnreachable, match="does not answer eth_blockNumber") as caught:
            block_number(connection)
        assert len(str(caught.value)) < 1_000

    def test_a_chain_id_that_no_signature_can_hold(self, proxy: Proxy) -> None:
        proxy.change("eth_chainId", lambda _: hex(1 << 63))
        with pytest.raises(ChainUnreachable, match="eth_chainId"):
            connect(proxy.url)


class TestRefusals:
    @pytest.mark.parametrize("status", [301, 400, 401, 404, 500])
    def test_a_status_is_a_refusal(self, proxy: Proxy, status: int) -> None:
        proxy.reply(EVERY, Reply(b"", status))
        with pytest.raises(ChainRefused, match=f"refused: HTTP {status}"):
            connect(proxy.url)
        assert len(proxy.asked) == 1

    def test_a_redirect_is_not_followed(self, proxy: Proxy, url: str) -> None:
        proxy.reply(EVERY, Reply(b"", 307, {"Location": url}))
        with pytest.raises(ChainRefused, match="HTTP 307"):
            connect(proxy.url)

    @pytest.mark.parametrize(
        "error", [{}, {"code": 3}, {"message": 7}, {"data": {}}, {"code": [], "data": "0xzz"}]
    )
    def test_an_error_of_any_form_is_one_of_ours(
        self, proxy: Proxy, connection: Connection, error: dict[str, Any]
    ) -> None:
        proxy.on(EVERY, lambda request, ask: {"id": request["id"], "error": error})
        for method in ("eth_call", "eth_estimateGas", "eth_blockNumber"):
            with pytest.raises(LedgerError):
                connection.ask(answers.anything, method)

    def test_what_a_node_says_is_shown_without_what_steers_a_terminal(
        self, proxy: Proxy, connection: Connection
    ) -> None:
        told = "\x1b[2J\x1b[H\rverdict: clean\n\x9b31m\u202e" + "x" * 1_000_000
        proxy.on(EVERY, lambda request, ask: refusal(request, told))
        with pytest.raises(ChainRefused) as caught:
            block_number(connection)
        assert str(caught.value).startswith(
            f"{proxy.url} refused: \\x1b[2J\\x1b[H verdict: clean \\x9b31m\\u202exxx"
        )
        assert len(str(caught.value)) < 1_000


def in_turn(*replies: Reply) -> Any:
    """Answer with these one after another, and then as the real endpoint does."""
    left = iter(replies)
    return lambda request, ask: next(left, None) or ask()


class TestBusy:
    """What an endpoint refuses for now is asked again, and nothing that was answered is asked twice."""

    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    def test_a_status_that_passes(self, proxy: Proxy, connection: Connection, status: int) -> None:
        proxy.on(EVERY, in_turn(*[Reply(b"", status)] * 3))
        assert block_number(connection) == 0
        assert proxy.asked.count("eth_blockNumber") == 4

    @pytest.mark.parametrize("status", [429, 502, 503, 504])
    def test_a_status_that_does_not_pass(
        self, proxy: Proxy, status: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pauses = {1: 0.0, 2: 0.0}  # And then more than the patience.
        monkeypatch.setattr("chain.busy.pause", lambda failures, asked: pauses.get(failures, 1e6))
        proxy.reply(EVERY, Reply(b"", status))
        with pytest.raises(ChainUnreachable, match=f"refused: HTTP {status}"):
            connect(proxy.url)
        assert len(proxy.asked) == 3

    def test_an_error_that_says_so(self, proxy: Proxy, connection: Connection) -> None:
        proxy.refuse("eth_blockNumber", "Too many requests", times=3)
        assert block_number(connection) == 0

    def test_as_long_as_the_endpoint_asks(self, proxy: Proxy, connection: Connection) -> None:
        proxy.on(EVERY, in_turn(Reply(b"", 429, {"Retry-After": "1"})))
        began = time.monotonic()
        assert block_number(connection) == 0
        assert time.monotonic() - began >= 1

    def test_but_not_for_ever(self, proxy: Proxy) -> None:
        proxy.reply(EVERY, Reply(b"", 429, {"Retry-After": "3600"}))
        began = time.monotonic()
        with pytest.raises(ChainUnreachable, match="HTTP 429"):
            connect(proxy.url, patience=600)
        assert time.monotonic() - began < 60
        assert len(proxy.asked) == 1

    def test_among_refusals_a_lost_answer_counts_afresh(
        self, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connection = connect(proxy.url)
        monkeypatch.setattr("chain.busy.FIRST_WAIT_SECONDS", 1e-4)
        lost, busy = Reply(b"{", headers={"Content-Length": "9"}), Reply(b"", 503)
        proxy.on(EVERY, in_turn(*[lost] * (SILENCES - 1), busy, *[lost] * (SILENCES - 1)))
        assert block_number(connection) == 0


def ask_both(connection: Connection) -> tuple[int, int]:
    """A number of a block and a chain's id, asked together."""
    block = Question(answers.quantity, "eth_blockNumber")
    chain = Question(answers.chain_id, "eth_chainId")
    connection.ask_all([block, chain])
    return block.answer(), chain.answer()


class TestBatches:
    """Several questions are one HTTP request, where the endpoint allows that."""

    def test_in_one_request(self, proxy: Proxy, connection: Connection) -> None:
        before = len(proxy.headers)
        assert ask_both(connection) == (0, CHAIN_ID)
        assert len(proxy.headers) == before + 1

    @pytest.mark.parametrize(
        "body",
        [b"", b"[]", b"[1]", b'[{"id": 1, "result": 5}]', b'{"error": {"code": -32600}}', b"<p>"],
    )
    def test_refused_batches_are_asked_one_by_one_from_then_on(
        self, proxy: Proxy, connection: Connection, body: bytes
    ) -> None:
        proxy.on_batches(lambda: Reply(body))
        assert ask_both(connection) == (0, CHAIN_ID)
        before = len(proxy.headers)
        assert ask_both(connection) == (0, CHAIN_ID)
        assert len(proxy.headers) == before + 2

    @pytest.mark.parametrize("status", [400, 403, 405, 413, 500])
    def test_refused_with_a_status(self, proxy: Proxy, connection: Connection, status: int) -> None:
        proxy.on_batches(lambda: Reply(b"", status))
        assert ask_both(connection) == (0, CHAIN_ID)

    def test_a_busy_endpoint_still_takes_batches(
        self, proxy: Proxy, connection: Connection
    ) -> None:
        busy = iter(
            [Reply(b"", 429), Reply(b'{"error": {"code": 429, "message": "rate limit"}, "id": 0}')]
        )
        proxy.on_batches(lambda: next(busy, None))
        before = len(proxy.headers)
        assert ask_both(connection) == (0, CHAIN_ID)
        assert len(proxy.headers) == before + 3

    def test_only_what_was_refused_is_asked_again(
        self, proxy: Proxy, connection: Connection
    ) -> None:
        proxy.refuse("eth_blockNumber", "rate limit exceeded", times=2)
        proxy.asked.clear()
        assert ask_both(connection) == (0, CHAIN_ID)
        assert sorted(proxy.asked) == ["eth_blockNumber"] * 3 + ["eth_chainId"]

    def test_one_error_leaves_the_others_answers(
        self, proxy: Proxy, connection: Connection
    ) -> None:
        good = Question(answers.quantity, "eth_blockNumber")
        bad = Question(answers.quantity, "eth_chainId")
        proxy.change("eth_chainId", lambda _: "text")
        connection.ask_all([bad, good])
        assert good.answer() == 0
        with pytest.raises(ChainUnreachable, match="does not answer eth_chainId"):
            bad.answer()

    def test_answers_in_another_order(self, proxy: Proxy, connection: Connection) -> None:
        proxy.shuffles = True
        before = len(proxy.headers)
        assert ask_both(connection) == (0, CHAIN_ID)
        assert len(proxy.headers) == before + 1


@pytest.fixture
def second(url: str) -> Iterator[Proxy]:
    """Another endpoint of the same chain."""
    with proxy_to(url) as strange:
        yield strange


class TestSeveral:
    """Where one endpoint fails, the next is asked at once."""

    @pytest.mark.parametrize(
        "broken",
        [Reply(b"", 429, {"Retry-After": "500"}), Reply(b"", 401), Reply(b"<html>"), Reply(b"", 503),
         Reply(b"{", headers={"Content-Length": "9"})],
        ids=["busy", "unauthorised", "a page", "down", "cut"],
    )  # fmt: skip
    def test_the_next_takes_over_and_stays(
        self, proxy: Proxy, second: Proxy, broken: Reply, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Otherwise the pause may be over before the choice of the next is made.
        monkeypatch.setattr("chain.busy.pause", lambda failures, asked=None: 60.0)
        connection = connect([proxy.url, second.url])
        proxy.reply(EVERY, broken)
        proxy.asked.clear()
        assert [block_number(connection) for _ in range(3)] == [0, 0, 0]
        assert str(connection) == second.url
        assert len(proxy.asked) == 1

    def test_nothing_listens_at_the_first(self, url: str) -> None:
        with deaf_port() as port:
            connection = connect([f"http://127.0.0.1:{port}", url])
        assert (connection.chain_id, str(connection)) == (CHAIN_ID, url)

    def test_an_endpoint_of_another_chain_is_named(self, proxy: Proxy, second: Proxy) -> None:
        connection = connect([proxy.url, second.url])
        second.change("eth_chainId", lambda _: "0x1")
        proxy.reply(EVERY, Reply(b"", 401))
        with pytest.raises(ChainMismatch, match=f"{second.url} serves chain 1, expected"):
            block_number(connection)

    def test_all_of_them_fail(self, proxy: Proxy, second: Proxy) -> None:
        connection = connect([proxy.url, second.url])
        for one in (proxy, second):
            one.reply(EVERY, Reply(b"", 401))
        with pytest.raises(ChainRefused, match="HTTP 401"):
            block_number(connection)

    def test_none_was_given(self) -> None:
        with pytest.raises(EndpointInvalid, match="got none"):
            connect([])

    def test_one_is_not_enough_to_confirm(self, url: str) -> None:
        with pytest.raises(EndpointInvalid, match="two endpoints are needed"):
            connect(url).each()


class TestSecrets:
    URLS = (
        "http://user:hidden-token@{host}/v3/hidden-key?key=hidden-query#hidden-mark",
        "HTTP://hidden-token@{host}/",
        "http://user:hidden%2Dtoken@{host}/a%2Fhidden-key",
        "https://{host}/hidden-key",
        "//user:hidden-token@{host}/hidden-key",
        "user:hidden-token@{host}/hidden-key",
        "{host}/hidden-key",
        "wss://user:hidden-token@{host}/hidden-key",
        "http://hidden-key:port@{host}:hidden-key/",
        "http://[hidden-key/",
        "http:///hidden-key",
        "http://user:hidden-token@/hidden-key",
    )

    @pytest.mark.parametrize("template", URLS)
    def test_no_error_repeats_the_key_in_a_url(self, proxy: Proxy, template: str) -> None:
        given = template.format(host=proxy.url.removeprefix("http://"))
        told = f"no such key: {given} {unquote(given)} {[*filter(None, unquote(given).split('/'))][-1]}"
        answers_in_turn = iter(
            [Reply(b"", 401), Reply(told.encode()), Reply(b"{", headers={"Content-Length": "9"})]
        )
        proxy.on(EVERY, lambda request, ask: next(answers_in_turn, None) or refusal(request, told))
        for _ in range(6):
            with pytest.raises(LedgerUnusable) as caught:
                connect(given, seconds=SECONDS)
            assert "hidden" not in str(caught.value)
            assert "hidden" not in repr(caught.value.__cause__)

    def test_no_log_repeats_it_for_malformed_headers(
        self, proxy: Proxy, caplog: pytest.LogCaptureFixture
    ) -> None:
        proxy.reply(EVERY, Reply(b"HTTP/1.1 200 OK\r\nno header at all\r\n\r\n{}", BARE))
        with pytest.raises(ChainUnreachable, match="the connection failed"):
            connect(proxy.url + "/hidden-key")
        assert "hidden" not in caplog.text

    def test_who_connects_is_told_where(self, proxy: Proxy) -> None:
        connection = connect(proxy.url.replace("//", "//user:hidden@") + "/?key=hidden-too")
        assert str(connection) == proxy.url

    def test_user_and_password_are_sent(self, proxy: Proxy) -> None:
        assert connect(proxy.url.replace("//", "//user:word@")).chain_id == CHAIN_ID

    @pytest.mark.parametrize("given", ["", "127.0.0.1:8545", "ws://127.0.0.1:8545", "file:///x"])
    def test_what_is_no_http_url(self, given: str) -> None:
        with pytest.raises(EndpointInvalid, match="expected an http"):
            connect(given)


class TestKeeping:
    def test_a_connection_that_was_closed_is_opened_again(self, url: str, tmp_path: Path) -> None:
        port, database = free_port(), tmp_path / "chain.db"
        with devnet_in_thread(database, port=port) as address:
            connection = connect(address)
        with pytest.raises(ChainUnreachable):
            block_number(connection)
        with devnet_in_thread(database, port=port):
            assert block_number(connection) == 0

    def test_one_connection_serves_many_requests(self, url: str) -> None:
        connection = connect(url)
        assert {block_number(connection) for _ in range(20)} == {0}


def test_the_proxy_passes_on_what_it_was_told_nothing_about(proxy: Proxy) -> None:
    assert connect(proxy.url).chain_id == CHAIN_ID
    assert json.loads(proxy.answer(b'{"method": "eth_chainId", "id": 1}').body)["result"]  # type: ignore[arg-type]
