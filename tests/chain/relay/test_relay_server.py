"""The relay over HTTP: what it answers, and what it does not let in."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from ports import deaf_port
from relaying import Town, forged

from chain.errors import EndpointInvalid, LedgerUnusable, RelayUnusable
from chain.relay.client import Relay
from chain.relay.health import Health, read_health
from chain.relay.limits import Bucket, Caps
from chain.relay.outcome import WAITING, Status
from chain.relay.server import relay_in_thread, serve
from chain.relay.submission import MAX_BODY_BYTES, submission_to_json
from chain.types import Phase

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def town() -> Town:
    """On real time: the relay posts in a thread of its own."""
    town = Town()
    town.relayer._clock = time.monotonic
    return town


@pytest.fixture
def url(town: Town) -> Iterator[str]:
    with relay_in_thread(town.relayer) as url:
        yield url


def patient(url: str) -> Relay:
    """A relay that is slow only as the machine is."""
    return Relay(url, seconds=60.0)


def ask(
    url: str, method: str, path: str, body: bytes | None = None, headers: dict[str, str] = JSON
) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def until_posted(relay: Relay, submission: Any) -> None:
    ends = time.monotonic() + 60
    while relay.send(submission).status is not Status.POSTED:
        assert time.monotonic() < ends
        time.sleep(0.6)  # Slower than a member may ask.


def test_acts_of_a_phase_are_taken_and_posted(town: Town, url: str):
    relay = patient(url)
    acts = [town.commit_act(member) for member in range(3)]
    assert [relay.send(act) for act in acts] == [WAITING] * 3
    for act in acts:
        until_posted(relay, act)
    assert town.state.phase is Phase.REVEAL


def test_the_status_of_an_act_can_be_read(town: Town, url: str):
    act = town.commit_act(0)
    name = f"/acts/0x{act.id.hex()}"
    assert ask(url, "GET", name) == (404, {"error": "no such act is known here"})
    posted = ask(url, "POST", "/acts", submission_to_json(act))
    assert posted == (200, {"act": f"0x{act.id.hex()}", "status": "waiting"})
    assert ask(url, "GET", name) == posted


def test_a_refusal_has_a_reason(town: Town, url: str):
    outcome = patient(url).send(town.vote_act(0))
    assert (outcome.status, outcome.reason) == (
        Status.REFUSED,
        "the act is for the ATTEST phase, the task is in COMMIT",
    )


def test_its_health(town: Town, url: str):
    relay, caps = patient(url), Caps()
    relay.send(town.commit_act(0))
    assert relay.health() == Health(
        chain_id=town.ledger.chain_id,
        contract=town.ledger.contract,
        account=town.ledger.account,
        tasks={1: 0},
        waiting=1,
        gas_per_task=caps.task,
        gas_today=0,
        gas_per_day=caps.day,
    )


def test_its_health_says_what_it_has_spent(town: Town, url: str):
    relay = patient(url)
    acts = [town.commit_act(member) for member in range(3)]
    for act in acts:
        relay.send(act)
    for act in acts:
        until_posted(relay, act)
    health = relay.health()
    assert health.waiting == 0
    assert health.tasks == {1: health.gas_today}


HEALTHY = {
    "chain_id": 1,
    "contract": "0x" + "12" * 20,
    "account": "0x" + "34" * 20,
    "tasks": {"1": 5},
    "waiting": 0,
    "gas_per_task": 9,
    "gas_today": 5,
    "gas_per_day": 9,
}


def test_what_is_no_health_is_refused():
    assert read_health(json.dumps(HEALTHY).encode()).tasks == {1: 5}
    for changes in (
        {"chain_id": -1},
        {"chain_id": True},
        {"contract": "0x12"},
        {"account": None},
        {"tasks": [1]},
        {"tasks": {"one": 1}},
        {"tasks": {"1": 1.5}},
        {"tasks": {str(task): 0 for task in range(2000)}},
        {"gas_today": 1 << 64},
        {"gas_per_day": "9"},
    ):
        with pytest.raises(ValueError):
            read_health(json.dumps(HEALTHY | changes).encode())
    for body in (b"", b"[]", b"[" * 100_000, b"\xff"):
        with pytest.raises(ValueError):
            read_health(body)


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "/acts", b"{}", JSON, 400),
        ("POST", "/acts", b"\xff", JSON, 400),
        ("POST", "/acts", b"x" * (MAX_BODY_BYTES + 1), JSON, 413),
        ("POST", "/acts", b"{}", {"Content-Type": "text/plain"}, 415),
        ("POST", "/acts", b"{}", {**JSON, "Origin": "http://a.page"}, 403),
        ("POST", "/", b"{}", JSON, 404),
        ("GET", "/acts", None, {}, 404),
        ("GET", "/acts/0xzz", None, {}, 400),
        ("DELETE", "/acts/0x00", None, {}, 404),
        ("GET", "/acts/../../etc/passwd", None, {}, 400),
    ],
)
def test_what_is_no_request_gets_an_error(
    url: str, method: str, path: str, body: bytes | None, headers: dict[str, str], status: int
):
    answered, error = ask(url, method, path, body, headers)
    assert (answered, list(error)) == (status, ["error"])


def test_a_stranger_gets_no_further_than_its_signature(town: Town, url: str):
    looked: list[int] = []
    town.ledger.look = lambda task: looked.append(task)  # type: ignore[method-assign, assignment]
    outcome = patient(url).send(forged(town.commit_act(0), vs=bytes(32)))
    assert outcome.status is Status.REFUSED
    assert not looked


def test_a_member_that_asks_too_often_is_told_when_to_come_back(town: Town, url: str):
    town.relayer._clock = lambda: 0.0  # However long they take, they come at once.
    body = submission_to_json(town.commit_act(0))
    answers = [ask(url, "POST", "/acts", body)[0] for _ in range(30)]
    assert answers[:20] == [200] * 20
    assert 429 in answers[20:]
    with pytest.raises(RelayUnusable, match="429"):
        for _ in range(30):
            patient(url).send(town.commit_act(0))


def test_all_together_may_not_ask_too_often_either(
    town: Town, url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Bucket, "take", lambda bucket, now: False)
    assert ask(url, "GET", "/healthz") == (429, {"error": "too many requests"})


def test_a_taken_port_is_said(town: Town):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LedgerUnusable, match=f"cannot listen on 127.0.0.1:{port}"):
            serve(town.relayer, "127.0.0.1", port, lambda url: None)


def test_a_fault_in_a_turn_does_not_end_the_posting(
    town: Town, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    turns = threading.Semaphore(0)

    def fails() -> None:
        town.relayer.wanted.clear()
        turns.release()
        raise RuntimeError("a fault")

    monkeypatch.setattr(town.relayer, "turn", fails)
    with relay_in_thread(town.relayer):
        for _ in range(2):
            town.relayer.wanted.set()
            assert turns.acquire(timeout=60)
    assert "a turn of the relay failed" in caplog.text


@pytest.mark.parametrize("url", ["", "relay", "ftp://relay", "http://", "http://h:port"])
def test_what_is_no_url_of_a_relay_is_refused(url: str):
    with pytest.raises(EndpointInvalid):
        Relay(url)


def test_a_password_in_the_url_is_not_shown():
    assert str(Relay("http://me:secret@127.0.0.1:9/x")) == "the relay at http://127.0.0.1:9"


def test_nobody_at_home():
    with deaf_port() as port:
        where = f"http://127.0.0.1:{port}"
        with pytest.raises(RelayUnusable, match=f"the relay at {where} does not take"):
            Relay(where).send(Town().commit_act(0))
