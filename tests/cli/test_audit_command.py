"""`ganchor audit`: 0 clean, 1 findings, 2 could not be carried out; for people and for machines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commanding import Ganchor, Live

from fl_node.blobs.store import key_of, open_store
from fl_node.cli.workspace import Workspace, report_rounds


def tamper(place: Workspace, digest: bytes) -> None:
    """Flip one bit of a blob."""
    path = place.store / key_of(digest)
    blob = bytearray(path.read_bytes())
    blob[-1] ^= 1
    path.chmod(0o600)
    path.write_bytes(blob)


def test_an_honest_history_is_clean(ganchor: Ganchor, live: Live) -> None:
    outcome = ganchor("audit", "--task", live.finished, *live.options)
    assert outcome.code == 0
    assert "clean" in outcome.out
    assert live.ledger().task_state(live.finished).history_head.hex() in outcome.out


def test_says_the_same_to_machines(ganchor: Ganchor, live: Live) -> None:
    outcome = ganchor("audit", "--task", live.finished, "--json", *live.options)
    assert (outcome.code, outcome.err) == (0, "")
    said = json.loads(outcome.out)
    assert said["verdict"] == "clean"
    assert list(said["steps"]) == [f"A{number}" for number in range(1, 10)]
    for step in said["steps"].values():
        assert (step["status"], step["findings"]) == ("clean", [])
    assert said["history_head"] == live.ledger().task_state(live.finished).history_head.hex()


def test_a_workspace_is_audited_with_its_chain(ganchor: Ganchor, workspace: Workspace) -> None:
    outcome = ganchor("audit", "--workspace", workspace.folder, "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["verdict"] == "clean"


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["people", "machines"])
def test_one_byte_in_the_store_is_found_with_round_client_and_digest(
    ganchor: Ganchor, workspace: Workspace, live: Live, form: list[str]
) -> None:
    revealed = live.reveals()[1]
    tamper(workspace, revealed.reveal.update_digest)
    outcome = ganchor("audit", "--workspace", workspace.folder, *form)
    assert outcome.code == 1
    shown = " ".join(outcome.out.split())
    for expected in ("A5", revealed.client, revealed.reveal.update_digest.hex(), "tampered"):
        assert expected in shown
    assert '"round": 1' in shown if form else "round 1" in shown


def test_another_chain_is_a_finding(ganchor: Ganchor, live: Live, tmp_path: Path) -> None:
    deployed = json.loads(live.place.deployment.read_text())
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text(json.dumps({**deployed, "chain_id": 1}))
    outcome = ganchor("audit", "--json", *live.options, "--deployment", elsewhere)
    assert outcome.code == 1
    said = json.loads(outcome.out)
    assert said["steps"]["A1"]["status"] == "findings"
    assert said["steps"]["A2"]["status"] == "not reached"


def test_a_report_that_agrees_is_clean(ganchor: Ganchor, workspace: Workspace, live: Live) -> None:
    write_report(workspace, live)
    assert ganchor("audit", "--workspace", workspace.folder).code == 0


def test_a_report_that_flatters_is_found(
    ganchor: Ganchor, workspace: Workspace, live: Live
) -> None:
    write_report(workspace, live, training_loss=1)
    outcome = ganchor("audit", "--workspace", workspace.folder, "--json")
    assert outcome.code == 1
    findings = json.loads(outcome.out)["steps"]["A9"]["findings"]
    assert [finding["round"] for finding in findings] == [1, 2]


def write_report(place: Workspace, live: Live, **changes: int) -> None:
    from fl_node.audit import audit

    audited = audit(live.ledger, open_store(live.place.store), live.finished)
    rounds = [{**one, **changes} for one in report_rounds(audited.rounds, {})]
    place.report.write_text(json.dumps({"rounds": rounds}))


@pytest.mark.parametrize(
    "report", ["", "[]", "{}", '{"rounds": 1}', '{"rounds": ["x"]}', "[" * 100_000, "\udcff"]
)
def test_a_broken_report_cannot_be_audited(
    ganchor: Ganchor, live: Live, tmp_path: Path, report: str
) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(report.encode(errors="surrogateescape"))
    outcome = ganchor("audit", *live.options, "--report", path)
    assert outcome.code == 2
    assert f"{path} is not a report" in outcome.err
    assert outcome.err.count("\n") == 1
