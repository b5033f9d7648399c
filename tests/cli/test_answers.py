"""What the commands say to machines, and what they leave behind."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

import pytest
from commanding import MANIFEST, MEMBERS, Ganchor, Live, key_of

from chain.accounts import address_of
from fl_node.blobs.store import open_store
from fl_node.cli.node.machines import MachineDisplay
from fl_node.cli.node.people import PeopleDisplay
from fl_node.manifest.manifest import build_manifest
from fl_node.member.participant import Action, Step

HEX = re.compile(r"[0-9a-f]{64}")
ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


def test_status_of_an_open_task(ganchor: Ganchor, live: Live) -> None:
    outcome = ganchor("status", "--json", "--task", live.open, *live.chain_options)
    assert outcome.code == 0
    said = json.loads(outcome.out)
    assert (said["task"], said["phase"], said["round"], said["rounds"]) == (
        live.open,
        "commit",
        1,
        2,
    )
    assert said["members"] == {
        address_of(signer): {
            "cohort": True,
            "awaited": True,
            "committed": False,
            "revealed": False,
            "absent": False,
        }
        for signer in MEMBERS
    }
    assert said["deadline"] > live.ledger().look(live.open).now
    for name in ("parent_digest", "manifest_digest", "history_head"):
        assert HEX.fullmatch(said[name])


def test_status_of_a_finished_task_for_people(ganchor: Ganchor, live: Live) -> None:
    for form in ([], ["--watch"]):
        outcome = ganchor("status", "--task", live.finished, *live.chain_options, *form)
        assert outcome.code == 0
        assert "finished" in outcome.out
        assert live.ledger().task_state(live.finished).history_head.hex() in outcome.out


def test_task_open_stores_manifest_and_genesis_and_says_their_digests(
    ganchor: Ganchor, live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANCHOR_PRIVATE_KEY", key_of(MEMBERS[0]))
    (tmp_path / "m.toml").write_text(MANIFEST)
    outcome = ganchor(
        "task", "open", "m.toml", "--json", *live.chain_options, "--store", tmp_path / "store"
    )
    assert outcome.code == 0, outcome.err
    said = json.loads(outcome.out)
    state = live.ledger().task_state(said["task"])
    assert state.manifest_digest.hex() == said["manifest_digest"]
    assert state.genesis_digest.hex() == said["genesis_digest"]
    assert said["gas"] > 0 and said["block"] > 0
    store = open_store(tmp_path / "store")
    assert store.get(state.genesis_digest, 1 << 30)
    manifest = json.loads(bytes(store.get(state.manifest_digest, 1 << 20)))
    assert build_manifest(manifest).addresses == tuple(address_of(signer) for signer in MEMBERS)


def test_deploy_writes_the_file_that_the_others_read(
    ganchor: Ganchor, live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANCHOR_PRIVATE_KEY", key_of(MEMBERS[0]))
    monkeypatch.setenv("ETH_RPC_URL", live.url)
    outcome = ganchor("deploy", "--json")
    assert outcome.code == 0, outcome.err
    said = json.loads(outcome.out)
    assert said == json.loads((tmp_path / "deployment.json").read_text())
    assert set(said) == {"chain_id", "address", "block", "artifact_digest"}
    assert "no task has been opened" in ganchor("status").err
    again = ganchor("deploy")
    assert (again.code, again.out) == (2, "")
    assert "deployment.json already exists" in again.err
    assert said == json.loads((tmp_path / "deployment.json").read_text())


def test_a_new_key_opens_with_its_password(
    ganchor: Ganchor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANCHOR_PASSWORD", "correct horse")
    made = ganchor("key", "new", "key.json")
    assert made.code == 0
    assert ADDRESS.fullmatch(made.out.strip())
    assert stat.S_IMODE((tmp_path / "key.json").stat().st_mode) == 0o600
    monkeypatch.delenv("GANCHOR_PASSWORD")
    (tmp_path / "password").write_text("correct horse\n")
    for form in ([], ["--check", "--password-file", "password"]):
        shown = ganchor("key", "address", "key.json", *form)
        assert (shown.code, shown.out) == (0, made.out)


def test_a_node_ends_with_the_history_head(live: Live, capsys: pytest.CaptureFixture[str]) -> None:
    state = live.ledger().task_state(live.finished)
    with PeopleDisplay() as people:
        people.show(Step(Action.FINISHED, state, None))
    MachineDisplay().show(Step(Action.FINISHED, state, None))
    *_, head, machines = capsys.readouterr().out.splitlines()
    assert head == f"history head {state.history_head.hex()}"
    assert json.loads(machines)["history_head"] == state.history_head.hex()
