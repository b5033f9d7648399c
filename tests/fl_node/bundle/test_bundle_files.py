"""A bundle is written reproducibly, read as a ledger and a store, and audits as the history that it is of."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from doubles import Federation

from chain.errors import FileUnusable, HistoryInvalid, TaskUnknown
from chain.types import RoundFinalised, UpdateRevealed
from fl_node.audit import Status, audit
from fl_node.blobs.store import key_of, open_store
from fl_node.bundle.reading import Bundle, read_bundle
from fl_node.bundle.writing import Written, write_bundle
from fl_node.errors import BlobMissing, BlobOversized
from fl_node.explorer.files import PAGE, page_names


def write(federation: Federation, path: Path, **options: Any) -> Written:
    return write_bundle(path, federation.ledger, federation.store, federation.task, **options)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "task.zip"


@pytest.fixture
def bundle(finished: Federation, path: Path) -> Bundle:
    write(finished, path)
    return read_bundle(path)


def digests_of(federation: Federation) -> set[bytes]:
    state = federation.ledger.task_state(federation.task)
    found = {state.manifest_digest, state.genesis_digest}
    for entry in federation.ledger.history(federation.task):
        match entry.event:
            case UpdateRevealed(reveal=reveal):
                found.add(reveal.update_digest)
            case RoundFinalised(aggregate_digest=digest):
                found.add(digest)
    return found


class TestWriting:
    def test_equal_histories_give_equal_bytes(
        self, finished: Federation, path: Path, tmp_path: Path
    ) -> None:
        write(finished, path)
        write(finished, tmp_path / "again.zip")
        assert path.read_bytes() == (tmp_path / "again.zip").read_bytes()

    def test_any_unzip_reads_it(self, finished: Federation, path: Path) -> None:
        written = write(finished, path)
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            names = archive.namelist()
            assert names == sorted(names)
            assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
            assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
            held = {name.removeprefix("blobs/") for name in names if name.startswith("blobs/")}
            assert held == {digest.hex() for digest in digests_of(finished)}
            page = {f"page/{name}" for name in page_names()}
            assert set(names) - page - {f"blobs/{name}" for name in held} == {
                "bundle.json", "code.hex", "events.json", "state.json",
            }  # fmt: skip
            assert archive.read("page/index.html") == (PAGE / "index.html").read_bytes()
            said = json.loads(archive.read("bundle.json"))
        state = finished.ledger.task_state(finished.task)
        assert said == {
            "chain_id": finished.ledger.chain_id,
            "contract": finished.ledger.contract,
            "final_digest": "0x" + state.parent_digest.hex(),
            "format": "ganchor-bundle-1",
            "head": "0x" + state.history_head.hex(),
            "task": finished.task,
        }
        assert (written.blobs, written.missing) == (len(held), {})
        assert written.events == len(finished.ledger.history(finished.task))

    def test_without_blobs_it_names_them(self, finished: Federation, path: Path) -> None:
        written = write(finished, path, with_blobs=False)
        with zipfile.ZipFile(path) as archive:
            assert not [name for name in archive.namelist() if name.startswith("blobs/")]
            named = json.loads(archive.read("blobs.json"))
        assert named == sorted(digest.hex() for digest in digests_of(finished))
        assert written.blobs == len(named)
        assert read_bundle(path).blobs is None

    def test_a_blob_that_the_store_lacks_is_missing_in_it_too(
        self, federation: Federation, path: Path
    ) -> None:
        genesis = federation.ledger.task_state(federation.task).genesis_digest
        (federation.folder / "store" / key_of(genesis)).unlink()
        written = write(federation, path)
        assert list(written.missing) == [genesis]
        blobs = read_bundle(path).blobs
        assert blobs
        with pytest.raises(BlobMissing, match=f"{genesis.hex()} is not in {path}"):
            blobs.get(genesis, 1 << 20)

    def test_without_a_manifest_nobody_knows_how_long_a_blob_may_be(
        self, federation: Federation, path: Path
    ) -> None:
        manifest = federation.ledger.task_state(federation.task).manifest_digest
        (federation.folder / "store" / key_of(manifest)).unlink()
        written = write(federation, path)
        assert (written.blobs, list(written.missing)) == (0, [manifest])

    def test_a_log_that_does_not_lead_to_the_head_is_not_exported(
        self, finished: Federation, path: Path
    ) -> None:
        class Hiding:
            chain_id, contract = finished.ledger.chain_id, finished.ledger.contract
            task_state, gas_used = finished.ledger.task_state, finished.ledger.gas_used

            def history(self, task: int, from_block: int = 0) -> Any:
                return finished.ledger.history(task)[:-1]

        with pytest.raises(HistoryInvalid, match="does not lead to its history head"):
            write_bundle(path, Hiding(), finished.store, finished.task)
        assert not path.exists()

    def test_a_task_that_does_not_exist_is_not_exported(
        self, finished: Federation, path: Path
    ) -> None:
        with pytest.raises(TaskUnknown):
            write_bundle(path, finished.ledger, finished.store, 9)

    def test_a_place_that_cannot_be_written_is_named(
        self, finished: Federation, tmp_path: Path
    ) -> None:
        with pytest.raises(FileUnusable, match="nowhere"):
            write(finished, tmp_path / "nowhere" / "task.zip")

    def test_tells_how_far_it_is(self, finished: Federation, path: Path) -> None:
        seen: list[tuple[int, int]] = []
        write(finished, path, progress=lambda done, of: seen.append((done, of)))
        count = len(digests_of(finished))
        assert seen == [(done, count) for done in range(1, count + 1)]


class TestReading:
    def test_shows_the_state_and_the_log(self, finished: Federation, bundle: Bundle) -> None:
        ledger = bundle.ledger()
        assert (ledger.chain_id, ledger.contract) == (
            finished.ledger.chain_id,
            finished.ledger.contract,
        )
        assert ledger.task_state(finished.task) == finished.ledger.task_state(finished.task)
        whole = finished.ledger.history(finished.task)
        assert tuple(ledger.history(finished.task)) == whole
        later = whole[5].block_number
        assert ledger.history(finished.task, later) == [
            entry for entry in whole if entry.block_number >= later
        ]

    def test_knows_no_other_task(self, finished: Federation, bundle: Bundle) -> None:
        with pytest.raises(TaskUnknown):
            bundle.ledger().task_state(finished.task + 1)
        with pytest.raises(TaskUnknown):
            bundle.ledger().history(finished.task + 1)

    def test_gives_blobs_up_to_a_size(self, finished: Federation, bundle: Bundle) -> None:
        assert bundle.blobs
        digest = finished.ledger.task_state(finished.task).manifest_digest
        blob = bundle.blobs.get(digest, 1 << 20)
        assert blob == finished.store.get(digest, 1 << 20)
        with pytest.raises(BlobOversized):
            bundle.blobs.get(digest, len(blob) - 1)


class TestAudit:
    def test_gives_the_same_report_as_chain_and_store(
        self, finished: Federation, bundle: Bundle
    ) -> None:
        assert bundle.blobs
        there = audit(lambda: finished.ledger, finished.store, finished.task)
        here = audit(bundle.ledger, bundle.blobs, bundle.state.task)
        assert here == there
        assert not here.findings
        assert {step for step, status in here.statuses.items() if status is not Status.CLEAN} == {
            "A9"
        }

    def test_takes_the_blobs_from_a_store_if_it_only_names_them(
        self, finished: Federation, path: Path
    ) -> None:
        write(finished, path, with_blobs=False)
        bundle = read_bundle(path)
        store = open_store(finished.folder / "store")
        assert not audit(bundle.ledger, store, bundle.state.task).findings

    def test_of_a_running_task_too(self, federation: Federation, path: Path) -> None:
        write(federation, path)
        bundle = read_bundle(path)
        assert bundle.blobs
        assert not audit(bundle.ledger, bundle.blobs, bundle.state.task).findings
