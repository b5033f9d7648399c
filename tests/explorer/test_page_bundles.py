"""The page reads bundles as the audit does: it takes the same files, and refuses the same ones."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asking import Page, Refused
from doubles import Federation, federation_in, run
from strange_zips import STRANGE, as_zip, damaged

from chain.artifact import load_artifact
from chain.errors import ContractMismatch
from fl_node.blobs.canonical import canonical_json, parse_json
from fl_node.bundle.archive import written_archive
from fl_node.bundle.proof import MAX_PROOF_BYTES
from fl_node.bundle.reading import read_bundle
from fl_node.bundle.writing import write_bundle
from fl_node.errors import BundleInvalid
from fl_node.witness.note import MAX_NOTES_BYTES

Edit = Callable[[Any], object]
VECTORS = Path(__file__).parents[1] / "vectors"
COSIGNED = VECTORS / "cosigned.txt"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    federation = federation_in(tmp_path_factory.mktemp("played"))
    run(federation)
    return federation


@pytest.fixture(scope="module")
def genuine(played: Federation) -> Path:
    path = played.folder / "genuine.zip"
    write_bundle(path, played.ledger, played.store, played.task)
    return path


def files_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as found:
        return {name: found.read(name) for name in found.namelist()}


def write(path: Path, files: dict[str, bytes]) -> Path:
    with written_archive(path) as written:
        for name, content in sorted(files.items()):
            written.add(name, content)
    return path


def verdicts(page: Page, path: Path) -> tuple[bool, bool]:
    """Whether the audit takes a file for a bundle, and whether the page does."""
    try:
        read_bundle(path)
        taken = True
    except BundleInvalid:
        taken = False
    try:
        page.ask("bundle", str(path))
    except Refused as refused:
        assert str(refused) in ("zip", "malformed", "log")
        return taken, False
    return taken, True


def test_a_bundle_is_read_whole(page: Page, played: Federation, genuine: Path) -> None:
    state = played.ledger.task_state(played.task)
    assert page.ask("isBundle", str(genuine))
    assert page.ask("bundle", str(genuine)) == {
        "chain_id": str(played.ledger.chain_id),
        "contract": played.ledger.contract.lower(),
        "task": str(played.task),
        "head": state.history_head.hex(),
        "said": state.history_head.hex(),
    }
    blob = page.ask("bundledBlob", str(genuine), state.manifest_digest.hex())
    assert bytes.fromhex(blob) == played.store.get(state.manifest_digest, 1 << 20)


def test_a_blob_that_is_not_in_it_is_missing_and_another_is_tampered(
    page: Page, played: Federation, genuine: Path, tmp_path: Path
) -> None:
    files, digest = files_of(genuine), played.ledger.task_state(played.task).genesis_digest.hex()
    with pytest.raises(Refused, match="missing"):
        page.ask("bundledBlob", str(genuine), "ab" * 32)
    files[f"blobs/{digest}"] += b"more"
    with pytest.raises(Refused, match="tampered"):
        page.ask("bundledBlob", str(write(tmp_path / "other.zip", files)), digest)


def test_without_blobs_it_is_read_too(page: Page, played: Federation, tmp_path: Path) -> None:
    path = tmp_path / "named.zip"
    write_bundle(path, played.ledger, played.store, played.task, with_blobs=False)
    assert page.ask("isBundle", str(path))
    assert verdicts(page, path) == (True, True)


def test_cosigned_heads_may_lie_in_it_in_one_spelling_and_within_their_bound(
    page: Page, genuine: Path, tmp_path: Path
) -> None:
    files, path = files_of(genuine), tmp_path / "cosigned.zip"
    files["cosignatures.txt"] = COSIGNED.read_bytes()
    assert verdicts(page, write(path, files)) == (True, True)
    files["cosignatures.txt"] = COSIGNED.read_bytes().replace(b"\n2\n", b"\n02\n")
    assert verdicts(page, write(path, files)) == (False, False)
    files["cosignatures.txt"] = b"x" * (MAX_NOTES_BYTES + 1)
    assert verdicts(page, write(path, files)) == (False, False)


def test_so_may_the_proof_that_a_block_holds_the_head(
    page: Page, genuine: Path, tmp_path: Path
) -> None:
    files, path = files_of(genuine), tmp_path / "proven.zip"
    files["proof.json"] = (VECTORS / "proof.json").read_bytes()
    assert verdicts(page, write(path, files)) == (True, True)
    files["proof.json"] = b"x" * (MAX_PROOF_BYTES + 1)
    assert verdicts(page, write(path, files)) == (False, False)


CODE = load_artifact().deployed_bytecode.encode()
OTHER_CODE = [
    b"", b"0x", b"\xef\xbb\xbf" + CODE, CODE + b"\n", CODE + b"00", CODE[:-1], CODE[:-2], CODE[2:],
    b"0x" + CODE[2:].upper(), b"\xff" + CODE[1:], CODE[:-1] + b"\xff",
    CODE[:100] + (b"0" if CODE[100:101] != b"0" else b"1") + CODE[101:],
]  # fmt: skip


@pytest.mark.parametrize("code", OTHER_CODE, ids=range(len(OTHER_CODE)))
def test_other_code_than_the_committed_contracts_is_found_by_both(
    page: Page, genuine: Path, tmp_path: Path, code: bytes
) -> None:
    assert page.ask("bundledContract", str(genuine)) is None
    files, path = files_of(genuine), tmp_path / "other.zip"
    assert files["code.hex"] == CODE
    files["code.hex"] = code
    assert verdicts(page, write(path, files)) == (True, True)
    with pytest.raises(ContractMismatch) as mismatch:
        read_bundle(path).ledger()
    assert page.ask("bundledContract", str(path)) == ["contract", str(mismatch.value)]


@pytest.mark.parametrize("content", [b"", b"PK", as_zip(["pyproject.toml"]), b"x" * 100])
def test_another_file_is_not_meant_for_a_bundle(page: Page, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert not page.ask("isBundle", str(path))


@pytest.mark.parametrize(("content", "says"), STRANGE, ids=range(len(STRANGE)))
def test_what_is_no_bundle_is_refused(
    page: Page, tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "strange.zip"
    path.write_bytes(content)
    assert verdicts(page, path) == (False, False), says


def test_damaged_bundles_are_refused_by_both_or_by_neither(
    page: Page, genuine: Path, tmp_path: Path
) -> None:
    path, seen = tmp_path / "damaged.zip", set()
    for content in damaged(genuine.read_bytes(), 100):
        path.write_bytes(content)
        taken, here = verdicts(page, path)
        assert taken == here
        seen.add(taken)
    assert seen == {True, False}


VIEW: list[tuple[str, Edit]] = [
    ("state.json", lambda state: state.update(more=1)),
    ("state.json", lambda state: state.pop("head")),
    ("state.json", lambda state: state.update(head=state["head"].upper())),
    ("state.json", lambda state: state.update(contract=state["contract"].lower())),
    ("state.json", lambda state: state.update(chain_id=1 << 63)),
    ("state.json", lambda state: state.update(task=1 << 256)),
    ("state.json", lambda state: state.update(task="1")),
    ("state.json", lambda state: state["view"].update(phase=0)),
    ("state.json", lambda state: state["view"].update(phase=5)),
    ("state.json", lambda state: state["view"].update(round=0)),
    ("state.json", lambda state: state["view"].update(round=1 << 16)),
    ("state.json", lambda state: state["view"].update(member_count=97)),
    ("state.json", lambda state: state["view"].update(cohort=1 << 95)),
    ("state.json", lambda state: state["view"].update(deadline=1 << 32)),
    ("state.json", lambda state: state["view"].update(deadline=-1)),
    ("state.json", lambda state: state["view"]["terms"].update(commit_window=1 << 24)),
    ("state.json", lambda state: state["view"]["terms"].pop("quorum")),
    ("bundle.json", lambda said: said.update(format="ganchor-bundle-2")),
    ("bundle.json", lambda said: said.update(head="0x" + "ab" * 32)),
    ("events.json", lambda log: log.reverse()),
    ("events.json", lambda log: log.append(log[-1])),
    ("events.json", lambda log: log[0].update(more=1)),
    ("events.json", lambda log: log[0].pop("transaction")),
    ("events.json", lambda log: log[0].update(address=log[0]["address"].lower())),
    ("events.json", lambda log: log[0].update(block="0x1")),
    ("events.json", lambda log: log[-1].update(block=1 << 53)),
    ("events.json", lambda log: log[-1].update(log_index=1 << 53)),
    ("events.json", lambda log: log[0].update(timestamp=253_402_300_800)),
    ("events.json", lambda log: log[0].update(block_hash="0x12")),
    ("events.json", lambda log: log[0].update(data=log[0]["data"] + "00")),
    ("events.json", lambda log: log[0].update(topics=log[0]["topics"] * 3)),
    ("events.json", lambda log: log[0].update(topics=[])),
    ("events.json", lambda log: log[1]["topics"].__setitem__(1, f"0x{7:064x}")),
]


@pytest.mark.parametrize(("name", "edit"), VIEW, ids=range(len(VIEW)))
def test_a_value_that_cannot_be_is_refused_by_both(
    page: Page, genuine: Path, tmp_path: Path, name: str, edit: Edit
) -> None:
    files = files_of(genuine)
    value = parse_json(files[name].decode())
    edit(value)
    files[name] = canonical_json(value)
    assert verdicts(page, write(tmp_path / "other.zip", files)) == (False, False)


@pytest.mark.parametrize("name", ["state.json", "events.json", "bundle.json"])
def test_another_spelling_is_refused_by_both(
    page: Page, genuine: Path, tmp_path: Path, name: str
) -> None:
    files = files_of(genuine)
    files[name] += b"\n"
    assert verdicts(page, write(tmp_path / "other.zip", files)) == (False, False)


@pytest.mark.parametrize("name", ["state.json", "events.json", "bundle.json", "code.hex"])
def test_a_file_that_is_left_out_is_missed_by_both(
    page: Page, genuine: Path, tmp_path: Path, name: str
) -> None:
    files = files_of(genuine)
    del files[name]
    assert verdicts(page, write(tmp_path / "other.zip", files)) == (False, False)
