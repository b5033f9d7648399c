"""`ganchor check` against a real chain and store: all is well, and each thing that can be wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commanding import MEMBERS, STRANGER, Ganchor, Live, key_of

from chain.accounts import address_of
from fl_node.blobs.store import key_of as place_of
from fl_node.cli.exits import WITH_FINDINGS

Checked = Callable[..., dict[str, Any]]


@pytest.fixture
def checked(ganchor: Ganchor, live: Live, monkeypatch: pytest.MonkeyPatch) -> Checked:
    """Checks the open task as a member, with other options; the findings by name, and the exit code."""
    monkeypatch.setenv("GANCHOR_PRIVATE_KEY", key_of(MEMBERS[0]))

    def check(*words: object, live: Live = live) -> dict[str, Any]:
        outcome = ganchor(
            "check", "--json", "--device", "cpu", *live.options, "--task", live.open, *words
        )
        findings = {found["what"]: found for found in json.loads(outcome.out)}
        return {**findings, "code": outcome.code}

    return check


def wrong(found: dict[str, Any]) -> list[str]:
    """The names of what is wrong."""
    assert found["code"] in (0, WITH_FINDINGS)
    names = [name for name in found if name != "code" and found[name]["verdict"] == "wrong"]
    assert bool(names) == (found["code"] == WITH_FINDINGS)
    return names


def test_all_is_well(checked: Checked, live: Live, tmp_path: Path) -> None:
    before = sorted(live.place.store.rglob("*"))
    found = checked("--state", tmp_path / "state")
    assert wrong(found) == []
    assert list(found) == [
        *("key", "endpoint", "clock", "contract", "store", "speed", "balance"),
        *("manifest", "member", "policy", "model", "uplink", "downlink", "device", "state"),
        "code",
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
    nowhere = replace(live, url="http://127.0.0.1:1")
    found = checked(live=nowhere)
    assert wrong(found) == ["endpoint", "contract"]
    assert found["clock"]["verdict"] == "not checked"
    assert found["speed"]["verdict"] == "good"  # the store does not wait for the chain


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
