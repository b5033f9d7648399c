"""`ganchor audit`: 0 clean, 1 findings, 2 could not be carried out; for people and for machines."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from commanding import MEMBERS, STRANGER, Ganchor, Live, Outcome, finished_task
from planting import PLANTS, Plant, mutations, plant_at, snapshot

from chain.accounts import address_of
from chain.devnet import devnet_in_thread
from fl_node.audit import Report, audit, read_report
from fl_node.audit.reported import gas_by_round, report_of
from fl_node.blobs.store import key_of, open_store
from fl_node.cli.workspace import Workspace
from fl_node.errors import Misuse


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
    for name, step in said["steps"].items():
        assert (step["status"], step["findings"]) == (
            "not reached" if name == "A9" else "clean",
            [],
        )
    assert said["history_head"] == live.ledger().task_state(live.finished).history_head.hex()


def test_a_workspace_is_audited_with_its_chain(ganchor: Ganchor, workspace: Workspace) -> None:
    outcome = ganchor("audit", "--workspace", workspace.folder, "--json")
    assert outcome.code == 0
    assert json.loads(outcome.out)["verdict"] == "clean"


@pytest.mark.parametrize(
    ("words", "code"),
    [(["audit"], 0), (["evaluate", "--rounds", "9"], 2)],
    ids=["audit", "evaluate"],
)
def test_a_workspace_is_only_read(
    ganchor: Ganchor, workspace: Workspace, live: Live, words: list[str], code: int
) -> None:
    write_report(workspace, live)
    for path in (workspace.folder, *workspace.folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = snapshot(workspace.folder)
    assert ganchor(*words, "--workspace", workspace.folder).code == code
    assert snapshot(workspace.folder) == before


@pytest.mark.parametrize("content", [b"", b"no database"], ids=["empty", "text"])
def test_what_is_no_chain_is_refused_and_left_as_it_was(
    ganchor: Ganchor, workspace: Workspace, content: bytes
) -> None:
    workspace.database.write_bytes(content)
    before = snapshot(workspace.folder)
    outcome = ganchor("audit", "--workspace", workspace.folder)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: database {workspace.database}")
    assert snapshot(workspace.folder) == before


@pytest.mark.parametrize("name", ["chain.sqlite", "deployment.json", "report.json"])
@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.timeout(120)
def test_what_is_no_file_in_a_workspace_is_refused(
    ganchor: Ganchor, workspace: Workspace, plant: Plant, name: str
) -> None:
    plant_at(workspace.folder / name, plant)
    outcome = ganchor("audit", "--workspace", workspace.folder)
    gone = name == "report.json" and not (workspace.folder / name).exists()
    assert outcome.code == (0 if gone else 2)
    assert gone or (outcome.err.count("\n") == 1 and name in outcome.err)


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


def write_report(place: Workspace, live: Live) -> dict[str, Any]:
    """Leave the honest report; what it says."""
    ledger = live.ledger()
    audited = audit(lambda: ledger, open_store(live.place.store), live.finished)
    gas = gas_by_round(ledger, ledger.history(live.finished))
    honest = report_of(audited, gas, 1.5, str(place.folder)).model_dump(mode="json")
    place.report.write_text(json.dumps(honest))
    return honest


def step_a9(outcome: Outcome) -> dict[str, Any]:
    return dict(json.loads(outcome.out)["steps"]["A9"])


def test_a_report_that_agrees_is_clean(ganchor: Ganchor, workspace: Workspace, live: Live) -> None:
    assert write_report(workspace, live)["rounds"][0]["gas"] > 100_000
    outcome = ganchor("audit", "--workspace", workspace.folder, "--json")
    assert (outcome.code, step_a9(outcome)["status"]) == (0, "clean")


def test_a_report_that_lies_in_one_place_is_found(
    ganchor: Ganchor, workspace: Workspace, live: Live
) -> None:
    honest = write_report(workspace, live)
    honest["rounds"][1]["gas"] -= 1
    workspace.report.write_text(json.dumps(honest))
    outcome = ganchor("audit", "--workspace", workspace.folder, "--json")
    assert outcome.code == 1
    (finding,) = step_a9(outcome)["findings"]
    assert (finding["round"], finding["actual"]) == (2, str(honest["rounds"][1]["gas"]))


@pytest.mark.parametrize("dangling", [False, True])
def test_a_workspace_whose_report_is_gone_says_so(
    ganchor: Ganchor, workspace: Workspace, dangling: bool
) -> None:
    if dangling:
        workspace.report.symlink_to("nowhere")
    outcome = ganchor("audit", "--workspace", workspace.folder, "--json")
    assert (outcome.code, step_a9(outcome)["status"]) == (0, "not reached")
    assert step_a9(outcome)["reasons"] == [f"{workspace.report} does not exist"]
    shown = ganchor("audit", "--workspace", workspace.folder)
    assert f"A9: not reached: {workspace.report} does not exist" in shown.out


class TestHead:
    def test_is_printed_last_and_can_be_expected(self, ganchor: Ganchor, live: Live) -> None:
        first = ganchor("audit", "--task", live.finished, *live.options)
        head = live.ledger().task_state(live.finished).history_head.hex()
        assert first.out.splitlines()[-1] == f"history head {head}"
        for spelt in (head, head.upper(), f"0x{head}"):
            again = ganchor("audit", *live.options, "--expect-head", spelt)
            assert again.code == 0, again

    def test_that_is_another_is_a_finding_of_a2(self, ganchor: Ganchor, live: Live) -> None:
        outcome = ganchor("audit", *live.options, "--json", "--expect-head", "ab" * 32)
        assert outcome.code == 1
        (finding,) = json.loads(outcome.out)["steps"]["A2"]["findings"]
        assert finding["expected"] == "ab" * 32
        assert finding["actual"] == json.loads(outcome.out)["history_head"]

    @pytest.mark.parametrize("head", ["", "ab", "ab" * 33, "zz" * 32, "ab" * 32 + "\x1b[2J"])
    def test_of_another_form_is_misuse(self, ganchor: Ganchor, live: Live, head: str) -> None:
        outcome = ganchor("audit", *live.options, "--expect-head", head)
        assert (outcome.code, outcome.out) == (2, "")
        assert outcome.err.startswith("error: --expect-head: expected 64 hex digits, got ")
        assert outcome.err.strip().isprintable()


def rewrite_history(place: Workspace) -> None:
    """What somebody with all keys can do: run another history of the same task at the same address of a new chain."""
    place.database.unlink()
    funded = [address_of(signer) for signer in (*MEMBERS, STRANGER)]
    with devnet_in_thread(place.database, fund=funded) as url:
        shutil.rmtree(place.nodes)
        finished_task(url, place, drift=5)


def test_a_history_that_was_written_anew_from_the_beginning_is_found(
    ganchor: Ganchor, workspace: Workspace, live: Live
) -> None:
    head = write_report(workspace, live)["history_head"]
    deployed = workspace.deployment.read_bytes()
    rewrite_history(workspace)
    assert workspace.deployment.read_bytes() == deployed
    report = workspace.report.rename(workspace.folder / "kept.json")
    fooled = ganchor("audit", "--workspace", workspace.folder)
    assert fooled.code == 0, fooled
    expecting = ganchor("audit", "--workspace", workspace.folder, "--expect-head", head, "--json")
    assert expecting.code == 1
    assert json.loads(expecting.out)["steps"]["A2"]["findings"][0]["expected"] == head
    reporting = ganchor("audit", "--workspace", workspace.folder, "--report", report, "--json")
    assert reporting.code == 1
    assert {"the report's history head differs from the history"} <= {
        finding["message"] for finding in step_a9(reporting)["findings"]
    }


@pytest.mark.parametrize(
    "report",
    [
        "",
        "[]",
        "{}",
        '{"rounds": 1}',
        '{"rounds": ["x"]}',
        "[" * 100_000,
        "\udcff",
        '{"seconds": 1e999}',
        '{"task": ' + "9" * 100_000 + "}",
        '{"\\u001b[2J": 1}',
    ],
)
def test_a_broken_report_cannot_be_audited(
    ganchor: Ganchor, live: Live, tmp_path: Path, report: str
) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(report.encode(errors="surrogateescape"))
    outcome = ganchor("audit", *live.options, "--report", path)
    assert outcome.code == 2
    assert f"{path} is not a report" in outcome.err
    assert outcome.err.strip().isprintable() and len(outcome.err) < 1000


@pytest.mark.parametrize("change", [{"more": 1}, {"task": None}, {"task": "1"}, {"seconds": "1"}])
def test_a_report_of_another_form_is_none(
    ganchor: Ganchor, workspace: Workspace, live: Live, change: dict[str, object]
) -> None:
    workspace.report.write_text(json.dumps(write_report(workspace, live) | change))
    outcome = ganchor("audit", "--workspace", workspace.folder)
    assert outcome.code == 2
    assert f"not a report as `ganchor demo` writes it: {next(iter(change))}: " in outcome.err


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.timeout(120)
def test_what_is_no_file_is_no_report(
    ganchor: Ganchor, live: Live, tmp_path: Path, plant: Plant
) -> None:
    plant(tmp_path / "report.json")
    outcome = ganchor("audit", *live.options, "--report", tmp_path / "report.json")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: report {tmp_path / 'report.json'}: ")


def test_an_altered_report_is_read_or_refused(workspace: Workspace, live: Live) -> None:
    write_report(workspace, live)
    for altered in mutations(workspace.report.read_bytes(), seed=3, count=300):
        workspace.report.write_bytes(altered)
        try:
            assert isinstance(read_report(workspace.report), Report)
        except Misuse as trouble:
            assert str(trouble).isprintable()
