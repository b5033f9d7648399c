"""`ganchor check` against a real chain and store: all is well, and each thing that can be wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commanding import MEMBERS, STRANGER, Ganchor, Live, key_of
from proxy import Reply, proxy_to

from chain.accounts import address_of
from chain.deploy import deploy, write_deployment
from chain.relay.limits import Caps, Purse
from chain.relay.relayer import Relayer
from chain.relay.server import relay_in_thread
from fl_node.blobs.store import key_of as place_of
from fl_node.cli import wiring
from fl_node.cli.check import chain
from fl_node.cli.exits import WITH_FINDINGS
from fl_node.history.members import members_of

Checked = Callable[..., dict[str, Any]]

ASIDE = ("code", "endpoints")
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def checked(ganchor: Ganchor, live: Live, monkeypatch: pytest.MonkeyPatch) -> Checked:
    """Checks the open task as a member, with other options; on however slow a machine, no endpoint is slow.

    Returns the findings by name, the worst if there are several of one; the exit code; and what is said of endpoints.
    """
    monkeypatch.setenv("GANCHOR_PRIVATE_KEY", key_of(MEMBERS[0]))
    monkeypatch.setattr(chain, "SLOW_SECONDS", 1000.0)

    def check(*words: object, live: Live = live) -> dict[str, Any]:
        outcome = ganchor(
            "check", "--json", "--device", "cpu", *live.options, "--task", live.open, *words
        )
        findings = json.loads(outcome.out)
        endpoints = [found for found in findings if found["what"] == "endpoint"]
        worst = sorted(findings, key=lambda found: found["verdict"] == "wrong")
        named = {found["what"]: {} for found in findings} | {one["what"]: one for one in worst}
        return {**named, "code": outcome.code, "endpoints": endpoints}

    return check


def wrong(found: dict[str, Any]) -> list[str]:
    """The names of what is wrong."""
    assert found["code"] in (0, WITH_FINDINGS)
    names = [name for name in found if name not in ASIDE and found[name]["verdict"] == "wrong"]
    assert bool(names) == (found["code"] == WITH_FINDINGS)
    return names


def test_all_is_well(checked: Checked, live: Live, tmp_path: Path) -> None:
    before = sorted(live.place.store.rglob("*"))
    found = checked("--state", tmp_path / "state")
    assert wrong(found) == []
    assert list(found) == [
        *("key", "endpoint", "clock", "contract", "store", "speed", "balance"),
        *("manifest", "member", "policy", "model", "uplink", "downlink", "device", "state"),
        *ASIDE,
    ]
    assert found["key"]["found"] == f"opens account {address_of(MEMBERS[0])}"
    assert "chain 31337" in found["endpoint"]["found"]
    assert "Mbit/s" in found["speed"]["found"]
    # Nothing is left behind.
    assert not (tmp_path / "state").exists()
    left = {path for path in live.place.store.rglob("*") if path.is_file()}
    assert left == {path for path in before if path.is_file()}


def test_people_read_a_table(ganchor: Ganchor, live: Live) -> None:
    outcome = ganchor("check", "--device", "cpu", *live.options, "--task", live.open)
    assert outcome.code == WITH_FINDINGS
    assert "no account: give --keystore FILE" in outcome.out
    assert "→ see --keystore" in outcome.out


def test_no_endpoint(checked: Checked, live: Live) -> None:
    found = checked(live=replace(live, url=NOWHERE))
    assert wrong(found) == ["endpoint", "contract"]
    assert found["clock"]["verdict"] == "not checked"
    assert found["speed"]["verdict"] == "good"  # the store does not wait for the chain


def test_one_dead_endpoint_of_two_is_no_more_than_doubtful(checked: Checked) -> None:
    found = checked("--rpc-url", NOWHERE)
    assert wrong(found) == []
    assert [one["verdict"] for one in found["endpoints"]] == ["good", "doubtful"]
    assert "a node does without it" in found["endpoints"][1]["advice"]
    assert found["contract"]["verdict"] == "good"


def test_where_two_must_agree_both_are_needed(checked: Checked) -> None:
    assert "endpoint" in wrong(checked("--rpc-url", NOWHERE, "--confirm"))


def test_each_endpoint_is_judged_by_itself(checked: Checked, live: Live) -> None:
    with proxy_to(live.url) as other, proxy_to(live.url) as single:
        other.change("eth_chainId", lambda _: "0x5")
        single.on_batches(lambda: Reply(b"no", 403))
        found = checked("--rpc-url", other.url, "--rpc-url", single.url)
    assert [one["verdict"] for one in found["endpoints"]] == ["good", "wrong", "good"]
    first, second, third = (one["found"] for one in found["endpoints"])
    assert first.endswith("takes batches")
    assert second.endswith("the contract is on chain 31337")
    assert third.endswith("takes no batches")


def test_what_the_node_may_pay(checked: Checked) -> None:
    found = checked("--max-gas-price", 0)
    assert wrong(found) == ["balance"]
    assert "--max-gas-price is 0 gwei" in found["balance"]["found"]


def test_what_cannot_be_meant_by_settled(ganchor: Ganchor, live: Live) -> None:
    outcome = ganchor("check", *live.options, "--settled", "soon")
    assert outcome.code == 2
    assert "expected latest, finalized or a number" in outcome.err


@pytest.fixture
def relay(live: Live) -> Iterator[str]:
    """A relay for the open task, which the stranger pays."""
    posting = wiring.open_ledger(live.url, live.place.deployment, STRANGER)
    members = {live.open: members_of(posting, live.open)}
    with relay_in_thread(Relayer(live.ledger(), posting, members, Purse(Caps()))) as url:
        yield url


def test_a_relay(checked: Checked, live: Live, relay: str) -> None:
    found = checked("--relay", relay)
    assert wrong(found) == []
    assert f"0.0 M of 1,000.0 M gas for task {live.open}" in found["relay"]["found"]
    assert address_of(STRANGER) in found["payer"]["found"]
    assert wrong(checked("--relay", relay, "--task", live.finished)) == ["relay"]


def test_a_relay_of_another_contract(
    checked: Checked, live: Live, relay: str, tmp_path: Path
) -> None:
    other = tmp_path / "deployment.json"
    write_deployment(other, deploy(live.url, STRANGER))
    found = checked("--relay", relay, "--deployment", other)
    assert "relay" in wrong(found)
    assert live.ledger().contract in found["relay"]["found"]


def test_no_relay(checked: Checked) -> None:
    found = checked("--relay", NOWHERE)
    assert wrong(found) == ["relay"]
    assert f"the relay at {NOWHERE} does not say how it is" in found["relay"]["found"]
    assert found["balance"]["verdict"] == "good"


def test_no_store(checked: Checked, tmp_path: Path) -> None:
    found = checked("--store", tmp_path / "nowhere")
    assert wrong(found) == ["store"]
    assert "no such folder" in found["store"]["found"]
    assert found["balance"]["verdict"] == "good"


def test_another_store(checked: Checked, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    found = checked("--store", tmp_path / "empty")
    assert wrong(found) == ["manifest"]
    assert "is this the task's store?" in found["manifest"]["found"]


def test_no_such_task(checked: Checked) -> None:
    found = checked("--task", 99)
    assert wrong(found) == ["contract"]
    assert "there is no task 99" in found["contract"]["found"]


def test_a_stranger(checked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GANCHOR_PRIVATE_KEY", key_of(STRANGER))
    found = checked()
    assert wrong(found) == ["member"]
    assert address_of(STRANGER) in found["member"]["found"]


def test_a_lost_model(checked: Checked, live: Live, tmp_path: Path) -> None:
    shutil.copytree(live.place.store, tmp_path / "store")
    genesis = live.ledger().task_state(live.open).genesis_digest
    (tmp_path / "store" / place_of(genesis)).unlink()
    found = checked("--store", tmp_path / "store")
    assert wrong(found) == ["model"]
    assert found["uplink"]["verdict"] == "not checked"


def test_no_such_device(checked: Checked) -> None:
    found = checked("--device", "cuda:99")
    assert wrong(found) == ["device"]


def test_a_policy_that_forbids(checked: Checked, tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(f'allow_manifests = ["{"ab" * 32}"]\n')
    assert wrong(checked("--policy", tmp_path / "policy.toml")) == ["policy"]


def test_a_finished_task_is_doubtful(checked: Checked, live: Live) -> None:
    found = checked("--task", live.finished)
    assert wrong(found) == []
    assert found["contract"]["verdict"] == "doubtful"
