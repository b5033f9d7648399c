"""The metrics and the health of a node over HTTP: what a monitor reads, and what a client cannot do."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from test_watch import STATE, Hand, step

from chain.errors import ChainUnreachable
from fl_node.blobs.store import open_store
from fl_node.cli.node.display import Started
from fl_node.cli.service.health import LONGEST_TROUBLE
from fl_node.cli.service.serving import serving
from fl_node.cli.service.watch import Watch
from fl_node.errors import Misuse
from fl_node.member.next_action import Action

PAGE = Path(__file__).parents[3] / "docs" / "operations.md"


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def watch(clock: Hand) -> Watch:
    watch = Watch(clock, wall=lambda: 1_700_000_000.0)
    for said in (Started("0x11", 3, ""), step(Action.COMMIT, 70), ChainUnreachable("a\nb")):
        watch.show(said)
    watch.store = open_store("memory://")
    watch.store.put(b"an update")
    return watch


@pytest.fixture
def url(watch: Watch) -> Iterator[str]:
    with serving(watch, 0) as url:
        yield url


def get(url: str, method: str = "GET") -> tuple[int, str]:
    try:
        with urlopen(Request(url, method=method), timeout=20) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def metrics(url: str) -> dict[tuple[str, str], float]:
    """Each sample's value, by its name and its labels' values."""
    _, text = get(f"{url}/metrics")
    return {
        (sample.name, " ".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_prometheus_reads_what_the_node_has_done(url: str) -> None:
    found = metrics(url)
    assert found["ganchor_member", "0x11 3"] == 1
    assert found["ganchor_phase", "commit"] == 1
    assert found["ganchor_phase", "reveal"] == 0
    assert found["ganchor_round", ""] == 1
    assert found["ganchor_rounds", ""] == STATE.terms.rounds
    assert found["ganchor_deadline_timestamp_seconds", ""] == STATE.deadline
    assert found["ganchor_actions_total", "commit"] == 1
    assert found["ganchor_actions_total", "attest"] == 0
    assert found["ganchor_gas_total", ""] == 70
    assert found["ganchor_trouble_total", "ChainUnreachable"] == 1
    assert found["ganchor_last_action_timestamp_seconds", ""] == 1_700_000_000
    assert found["ganchor_store_bytes_total", "sent"] == len(b"an update")
    assert found["ganchor_store_bytes_total", "received"] == 0
    assert ("process_resident_memory_bytes", "") in found


def test_a_node_that_has_not_seen_its_task_says_nothing_of_it() -> None:
    with serving(Watch(), 0) as url:
        found = metrics(url)
    assert ("ganchor_healthy", "") in found
    assert ("ganchor_round", "") not in found


def test_the_page_names_every_metric(url: str) -> None:
    served = {name for name, _ in metrics(url) if name.startswith("ganchor_")}
    written = set(re.findall(r"ganchor_[a-z_]+", PAGE.read_text()))
    assert served == written


def test_health(url: str, watch: Watch, clock: Hand) -> None:
    status, text = get(f"{url}/healthz")
    assert (status, json.loads(text)["healthy"]) == (200, True)
    assert metrics(url)["ganchor_healthy", ""] == 1
    clock.forward(LONGEST_TROUBLE + 1)
    status, text = get(f"{url}/healthz")
    assert status == 503
    assert json.loads(text) == {
        "healthy": False,
        "doing": "trouble",
        "why": "in trouble for 61 s: a b",
    }
    assert metrics(url)["ganchor_healthy", ""] == 0


def test_nothing_else_is_there(url: str) -> None:
    assert get(f"{url}/")[0] == 404
    assert get(f"{url}/metrics/../../etc/passwd")[0] == 404
    assert get(f"{url}/metrics", "POST")[0] == 405


def test_a_client_that_says_nothing_keeps_no_other_waiting(url: str) -> None:
    at = urlsplit(url)
    with socket.create_connection((at.hostname, at.port), timeout=20):
        assert get(f"{url}/healthz")[0] == 200


def test_a_client_that_leaves_is_no_error(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    at = urlsplit(url)
    with socket.create_connection((at.hostname, at.port), timeout=20) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\n")
    assert get(f"{url}/healthz")[0] == 200
    assert capfd.readouterr().err == ""


def test_a_taken_port_is_told(url: str) -> None:
    taken = urlsplit(url).port
    assert taken is not None
    with pytest.raises(Misuse, match=f"--metrics-port {taken}: .*in use"), serving(Watch(), taken):
        pass


def test_it_ends_with_the_block() -> None:
    with serving(Watch(), 0) as url:
        pass
    with pytest.raises(OSError):
        get(f"{url}/healthz")
