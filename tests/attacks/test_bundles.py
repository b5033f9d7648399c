"""A file from a stranger: a bundle that lies about a history, and one that is meant for the parser."""

from __future__ import annotations

import json
import socket
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commanding import Ganchor, clean_environment, runner
from doubles import Federation, federation_in, played_in, run, small_manifest
from strange_zips import DIGEST, STRANGE, as_zip, damaged

from chain.types import UpdateRevealed
from fl_node.audit import AuditReport, Status, audit
from fl_node.blobs.canonical import canonical_json
from fl_node.bundle import archive
from fl_node.bundle.reading import read_bundle
from fl_node.bundle.writing import write_bundle
from fl_node.errors import BundleInvalid

Files = dict[str, bytes]
Spoil = Callable[[Files], object]
OTHER = "0x000000000000000000000000000000000000dEaD"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    return played_in(tmp_path_factory.mktemp("played"))


@pytest.fixture(scope="module")
def genuine(played: Federation) -> Path:
    path = played.folder / "genuine.zip"
    write_bundle(path, played.ledger, played.store, played.task)
    return path


def head_of(federation: Federation) -> bytes:
    return federation.ledger.task_state(federation.task).history_head


def files_of(path: Path) -> Files:
    with zipfile.ZipFile(path) as found:
        return {name: found.read(name) for name in found.namelist()}


def write(path: Path, files: Files) -> Path:
    with archive.written_archive(path) as written:
        for name, content in sorted(files.items()):
            written.add(name, content)
    return path


def spoilt(genuine: Path, tmp_path: Path, spoil: Spoil) -> Path:
    files = files_of(genuine)
    spoil(files)
    return write(tmp_path / "spoilt.zip", files)


def audit_of(path: Path, **options: Any) -> AuditReport:
    bundle = read_bundle(path)
    assert bundle.blobs
    return audit(bundle.ledger, bundle.blobs, bundle.state.task, **options)


def steps_with_findings(report: AuditReport) -> set[str]:
    return {finding.step for finding in report.findings}


def edited(name: str, edit: Callable[[Any], object]) -> Spoil:
    def spoil(files: Files) -> None:
        value = json.loads(files[name])
        edit(value)
        files[name] = canonical_json(value)

    return spoil


def in_state(**changes: Any) -> Spoil:
    """Write something else into state.json and bundle.json alike, and into every event that has to agree."""

    def spoil(files: Files) -> None:
        for name in ("state.json", "bundle.json"):
            edited(name, lambda value: value.update(changes))(files)
        edited("events.json", lambda log: [_move(entry, changes) for entry in log])(files)

    return spoil


def _move(entry: Any, changes: dict[str, Any]) -> None:
    if "contract" in changes:
        entry["address"] = changes["contract"]
    if "task" in changes:
        entry["topics"][1] = f"0x{changes['task']:064x}"


def reveals_of(federation: Federation) -> list[UpdateRevealed]:
    events = (entry.event for entry in federation.ledger.history(federation.task))
    return [event for event in events if isinstance(event, UpdateRevealed)]


class TestLyingAboutTheHistory:
    def test_the_genuine_one_is_clean(self, played: Federation, genuine: Path) -> None:
        assert not audit_of(genuine, expected_head=head_of(played)).findings

    @pytest.mark.parametrize("place", [0, 3, -2, -1])
    def test_an_event_that_is_hidden_is_found(
        self, genuine: Path, tmp_path: Path, place: int
    ) -> None:
        hidden = edited("events.json", lambda log: log.pop(place))
        assert "A2" in steps_with_findings(audit_of(spoilt(genuine, tmp_path, hidden)))

    def test_an_event_that_is_added_at_the_end_is_found(
        self, genuine: Path, tmp_path: Path
    ) -> None:
        """No head covers it, and a reader who stopped at the head would not see it."""
        added = edited("events.json", lambda log: log.append({**log[2], "block": 10**6}))
        report = audit_of(spoilt(genuine, tmp_path, added))
        assert {"A2", "A3"} <= steps_with_findings(report)

    def test_an_event_that_is_altered_is_found(self, genuine: Path, tmp_path: Path) -> None:
        def alter(log: Any) -> None:
            reveal = next(entry for entry in log if len(entry["data"]) == 2 + 5 * 64)
            examples = 2 + 64 + 63
            reveal["data"] = f"{reveal['data'][:examples]}9{reveal['data'][examples + 1 :]}"

        report = audit_of(spoilt(genuine, tmp_path, edited("events.json", alter)))
        assert {"A2", "A3"} <= steps_with_findings(report)

    def test_two_events_that_change_places_are_found(self, genuine: Path, tmp_path: Path) -> None:
        def swap(log: Any) -> None:
            for name in ("topics", "data"):
                log[2][name], log[3][name] = log[3][name], log[2][name]

        report = audit_of(spoilt(genuine, tmp_path, edited("events.json", swap)))
        assert "A2" in steps_with_findings(report)

    def test_a_time_after_the_deadline_is_found_and_one_before_it_cannot_be(
        self, genuine: Path, tmp_path: Path
    ) -> None:
        late = edited(
            "events.json", lambda log: log[2].update(timestamp=log[2]["timestamp"] + 10**6)
        )
        assert "A3" in steps_with_findings(audit_of(spoilt(genuine, tmp_path, late)))
        unseen = edited("events.json", lambda log: log[2].update(block_hash="0x" + "00" * 32))
        assert not audit_of(spoilt(genuine, tmp_path, unseen)).findings

    def test_a_blob_that_is_swapped_is_found(
        self, played: Federation, genuine: Path, tmp_path: Path
    ) -> None:
        one, two = (reveal.reveal.update_digest.hex() for reveal in reveals_of(played)[:2])

        def swap(files: Files) -> None:
            first, second = f"blobs/{one}", f"blobs/{two}"
            files[first], files[second] = files[second], files[first]

        report = audit_of(spoilt(genuine, tmp_path, swap))
        found = {finding.digest: finding.actual for finding in report.findings}
        assert found[one] == found[two] == "tampered"

    def test_a_blob_that_is_left_out_is_missing(
        self, played: Federation, genuine: Path, tmp_path: Path
    ) -> None:
        digest = reveals_of(played)[0].reveal.update_digest.hex()
        report = audit_of(spoilt(genuine, tmp_path, lambda files: files.pop(f"blobs/{digest}")))
        assert [(finding.step, finding.actual) for finding in report.findings] == [
            ("A5", "missing")
        ]

    @pytest.mark.parametrize("change", [{"chain_id": 1}, {"contract": OTHER}, {"task": 7}], ids=str)
    def test_another_chain_contract_or_task_is_found(
        self, genuine: Path, tmp_path: Path, change: dict[str, Any]
    ) -> None:
        report = audit_of(spoilt(genuine, tmp_path, in_state(**change)))
        assert "A2" in steps_with_findings(report)

    def test_other_code_is_found(self, genuine: Path, tmp_path: Path) -> None:
        report = audit_of(
            spoilt(genuine, tmp_path, lambda files: files.update({"code.hex": b"0x"}))
        )
        assert steps_with_findings(report) == {"A1"}
        assert report.statuses["A2"] is Status.NOT_REACHED

    def test_another_model_at_the_end_is_found(self, genuine: Path, tmp_path: Path) -> None:
        def spoil(files: Files) -> None:
            model = "0x" + DIGEST
            edited("bundle.json", lambda said: said.update(final_digest=model))(files)
            edited("state.json", lambda said: said["view"].update(parent_digest=model))(files)

        assert "A8" in steps_with_findings(audit_of(spoilt(genuine, tmp_path, spoil)))

    def test_an_older_moment_of_the_same_task_needs_a_head_from_elsewhere(
        self, tmp_path: Path
    ) -> None:
        federation = federation_in(tmp_path / "running")
        write_bundle(tmp_path / "old.zip", federation.ledger, federation.store, federation.task)
        run(federation)
        assert not audit_of(tmp_path / "old.zip").findings
        report = audit_of(tmp_path / "old.zip", expected_head=head_of(federation))
        assert steps_with_findings(report) == {"A2"}

    def test_a_history_that_never_was_needs_a_head_from_elsewhere(
        self, played: Federation, tmp_path: Path
    ) -> None:
        invented = played_in(tmp_path / "invented", small_manifest(seed=6))
        path = tmp_path / "invented.zip"
        write_bundle(path, invented.ledger, invented.store, invented.task)
        assert not audit_of(path).findings
        report = audit_of(path, expected_head=head_of(played))
        assert steps_with_findings(report) == {"A2"}

    @pytest.mark.parametrize(
        "change", [{"head": "0x" + DIGEST}, {"format": "ganchor-bundle-2"}, {"more": 1}], ids=str
    )
    def test_a_summary_that_contradicts_the_state_is_no_bundle(
        self, genuine: Path, tmp_path: Path, change: dict[str, Any]
    ) -> None:
        path = spoilt(genuine, tmp_path, edited("bundle.json", lambda said: said.update(change)))
        with pytest.raises(BundleInvalid, match=r"bundle\.json: "):
            read_bundle(path)


class TestFeedingTheParser:
    @pytest.mark.parametrize(("content", "says"), STRANGE, ids=range(len(STRANGE)))
    def test_what_is_no_bundle_is_refused_in_one_line(
        self, tmp_path: Path, content: bytes, says: str
    ) -> None:
        path = tmp_path / "strange.zip"
        path.write_bytes(content)
        with pytest.raises(BundleInvalid, match=says) as refused:
            read_bundle(path)
        assert str(refused.value).isprintable() and len(str(refused.value)) < 1_000

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_two_files_of_one_name_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "twice.zip"
        path.write_bytes(as_zip(["code.hex", "code.hex"]))
        with pytest.raises(BundleInvalid, match="two files have the name"):
            read_bundle(path)

    def test_files_do_not_share_their_bytes(self, tmp_path: Path) -> None:
        """The bomb that needs no compression: every entry of the list points to the same content."""
        whole = bytearray(as_zip([f"blobs/{number:064x}" for number in range(50)], b"0" * 5_000))
        first = whole.index(b"PK\x01\x02")
        for number in range(1, 50):
            at = first + number * (46 + 70)
            assert whole[at : at + 4] == b"PK\x01\x02"
            whole[at + 42 : at + 46] = struct.pack("<L", 0)
        path = tmp_path / "shared.zip"
        path.write_bytes(whole)
        with pytest.raises(BundleInvalid, match="has another name where it is"):
            read_bundle(path)

    def test_a_page_that_somebody_altered_says_nothing_of_the_history(
        self, genuine: Path, tmp_path: Path
    ) -> None:
        """The audit does not read it. Who opens the page of a bundle trusts its writer; `explore` has its own."""
        altered = spoilt(
            genuine, tmp_path, lambda files: files.update({"page/main.js": b"green()"})
        )
        assert not audit_of(altered).findings
        assert not any(name.startswith("page/") for name in read_bundle(altered).record)

    def test_a_sparse_file_of_a_terabyte_is_not_read(self, tmp_path: Path) -> None:
        path = tmp_path / "sparse.zip"
        with path.open("wb") as file:
            file.truncate(1 << 40)
        with pytest.raises(BundleInvalid, match="does not end like a zip"):
            read_bundle(path)

    @pytest.mark.parametrize("name", ["events.json", "state.json", "bundle.json", "code.hex"])
    def test_a_bundle_without_one_of_its_files_is_none(
        self, genuine: Path, tmp_path: Path, name: str
    ) -> None:
        path = spoilt(genuine, tmp_path, lambda files: files.pop(name))
        with pytest.raises(BundleInvalid, match=f"holds no {name}"):
            read_bundle(path)

    def test_a_damaged_bundle_is_refused_or_audited(self, genuine: Path, tmp_path: Path) -> None:
        path, refused = tmp_path / "damaged.zip", 0
        for content in damaged(genuine.read_bytes(), 120):
            path.write_bytes(content)
            try:
                assert read_bundle(path).state
            except BundleInvalid as reason:
                assert str(reason).isprintable()
                refused += 1
        assert refused > 40


@pytest.fixture
def ganchor(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Ganchor:
    clean_environment(monkeypatch, tmp_path)
    return runner(capsys)


def test_the_audit_of_a_bundle_asks_nobody_and_writes_nothing(
    ganchor: Ganchor, genuine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    outcome = ganchor("audit", "--bundle", genuine, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert [*tmp_path.iterdir()] == []


def test_what_is_no_bundle_ends_the_command_with_2(ganchor: Ganchor, tmp_path: Path) -> None:
    path = tmp_path / "strange.zip"
    path.write_bytes(as_zip(["\x1b[2J"]))
    outcome = ganchor("audit", "--bundle", path)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: {path}: not a bundle: ")
    assert outcome.err.strip().isprintable()
