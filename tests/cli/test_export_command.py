"""`ganchor export` and `ganchor audit --bundle`: a history in one file, audited without chain and store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commanding import Ganchor, Live
from planting import PLANTS, Plant

from fl_node.blobs.store import key_of
from fl_node.cli.workspace import Workspace


def steps_of(output: str) -> dict[str, str]:
    return {name: step["status"] for name, step in json.loads(output)["steps"].items()}


def test_a_bundle_is_audited_when_chain_and_store_are_gone(
    ganchor: Ganchor, live: Live, tmp_path: Path
) -> None:
    exported = ganchor("export", "task.zip", "--task", live.finished, *live.options)
    assert (exported.code, exported.err) == (0, "")
    head = live.ledger().task_state(live.finished).history_head.hex()
    assert "wrote task.zip: " in exported.out
    assert f"audit --bundle task.zip --expect-head {head}" in exported.out
    audited = ganchor("audit", "--bundle", "task.zip", "--expect-head", head, "--json")
    assert (audited.code, audited.err) == (0, "")
    there = ganchor("audit", "--task", live.finished, "--json", *live.options)
    assert audited.out == there.out
    assert [*tmp_path.iterdir()] == [tmp_path / "task.zip"]


def test_equal_histories_give_equal_files_from_a_workspace_too(
    ganchor: Ganchor, workspace: Workspace, live: Live
) -> None:
    assert ganchor("export", "one.zip", *live.options).code == 0
    said = ganchor("export", "two.zip", "--workspace", workspace.folder, "--json")
    assert (said.code, said.err) == (0, "")
    assert Path("one.zip").read_bytes() == Path("two.zip").read_bytes()
    state = live.ledger().task_state(live.finished)
    facts = json.loads(said.out)
    assert (facts["file"], facts["task"], facts["missing"]) == ("two.zip", 1, [])
    assert facts["history_head"] == state.history_head.hex()
    assert facts["final_digest"] == state.parent_digest.hex()


def test_it_keeps_the_hashes_of_blocks_and_transactions(ganchor: Ganchor, live: Live) -> None:
    import zipfile

    assert ganchor("export", "task.zip", *live.options).code == 0
    with zipfile.ZipFile("task.zip") as archive:
        events = json.loads(archive.read("events.json"))
    for event, entry in zip(events, live.ledger().history(live.finished), strict=True):
        assert entry.block_hash and event["block_hash"] == "0x" + entry.block_hash.hex()
        assert entry.transaction and event["transaction"] == "0x" + entry.transaction.hex()


def test_without_blobs_an_audit_reads_them_from_a_store(
    ganchor: Ganchor, workspace: Workspace
) -> None:
    told = ganchor("export", "task.zip", "--workspace", workspace.folder, "--without-blobs")
    assert (told.code, told.err) == (0, "")
    assert "the names of " in told.out
    clean = ganchor("audit", "--bundle", "task.zip", "--store", workspace.store)
    assert clean.code == 0, clean
    absent = ganchor("audit", "--bundle", "task.zip")
    assert (absent.code, absent.out) == (2, "")
    assert absent.err.startswith("error: store store: ")


def test_what_the_store_lacks_is_named_and_then_found(
    ganchor: Ganchor, workspace: Workspace, live: Live
) -> None:
    digest = live.reveals()[0].reveal.update_digest
    (workspace.store / key_of(digest)).unlink()
    told = ganchor("export", "task.zip", "--workspace", workspace.folder)
    assert told.code == 0
    assert f"missing: blob {digest.hex()}" in told.out
    audited = ganchor("audit", "--bundle", "task.zip", "--json")
    assert audited.code == 1
    (finding,) = json.loads(audited.out)["steps"]["A5"]["findings"]
    assert (finding["digest"], finding["actual"]) == (digest.hex(), "missing")


def test_another_head_is_a_finding(ganchor: Ganchor, live: Live) -> None:
    assert ganchor("export", "task.zip", *live.options).code == 0
    outcome = ganchor("audit", "--bundle", "task.zip", "--expect-head", "ab" * 32, "--json")
    assert outcome.code == 1
    assert steps_of(outcome.out)["A2"] == "findings"


def test_a_running_task_is_exported_up_to_its_head(ganchor: Ganchor, live: Live) -> None:
    assert ganchor("export", "task.zip", "--task", live.open, *live.options).code == 0
    outcome = ganchor("audit", "--bundle", "task.zip", "--json")
    assert (outcome.code, json.loads(outcome.out)["task"]) == (0, live.open)


def test_an_endpoint_that_proves_nothing_is_named(ganchor: Ganchor, live: Live) -> None:
    told = ganchor("export", "task.zip", *live.options)
    assert (told.code, told.err) == (0, "")
    assert "no proof that a block holds its head: " in told.out and "eth_getProof" in told.out
    facts = json.loads(ganchor("export", "task.zip", "--json", *live.options).out)
    assert facts["block"] is None and "eth_getProof" in facts["unproven"]
    audited = ganchor("audit", "--bundle", "task.zip", "--expect-block", "ab" * 32)
    assert (audited.code, audited.out) == (2, "")
    assert audited.err == (
        "error: task.zip carries no proof that a block holds its history head: "
        "--expect-head compares the head itself\n"
    )


def test_a_block_is_expected_of_a_bundle(ganchor: Ganchor, live: Live) -> None:
    outcome = ganchor("audit", "--expect-block", "ab" * 32, *live.options)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: --expect-block needs --bundle")
    outcome = ganchor("audit", "--bundle", "task.zip", "--expect-block", "12")
    assert outcome.err == "error: --expect-block: expected 64 hex digits, got '12'\n"


def test_bundle_and_workspace_are_two_histories(ganchor: Ganchor, workspace: Workspace) -> None:
    outcome = ganchor("audit", "--bundle", "task.zip", "--workspace", workspace.folder)
    assert (outcome.code, outcome.err) == (2, "error: give either --bundle or --workspace\n")


def test_the_page_shows_a_bundle_or_a_workspace(ganchor: Ganchor, workspace: Workspace) -> None:
    outcome = ganchor("explore", "--bundle", "task.zip", "--workspace", workspace.folder)
    assert (outcome.code, outcome.err) == (2, "error: give either --bundle or --workspace\n")


def test_the_page_does_not_open_for_what_is_no_bundle(ganchor: Ganchor, tmp_path: Path) -> None:
    (tmp_path / "task.zip").write_bytes(b"PK")
    outcome = ganchor("explore", "--bundle", "task.zip", "--port", 0)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: task.zip: not a bundle: ")


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.timeout(120)
def test_what_is_no_file_is_no_bundle(ganchor: Ganchor, tmp_path: Path, plant: Plant) -> None:
    plant(tmp_path / "task.zip")
    outcome = ganchor("audit", "--bundle", tmp_path / "task.zip")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1
    assert str(tmp_path / "task.zip") in outcome.err


def test_a_task_that_does_not_exist_leaves_no_file(ganchor: Ganchor, live: Live) -> None:
    outcome = ganchor("export", "task.zip", "--task", 99, *live.options)
    assert outcome.code == 2
    assert "there is no task 99" in outcome.err
    assert not Path("task.zip").exists()
