"""A file from a stranger: a bundle that lies about a history, and one that is meant for the parser."""

from __future__ import annotations

import json
import socket
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commanding import Ganchor, clean_environment, runner
from doubles import NOBODY, Federation, federation_in, played_in, run, small_manifest
from proving import proof_of, with_header
from strange_zips import DIGEST, STRANGE, as_zip, damaged

from chain.proofs import HeadProof, follow
from chain.types import UpdateRevealed
from fl_node.audit import AuditReport, Status, audit
from fl_node.audit.proven import HeldByBlock
from fl_node.blobs.canonical import canonical_json
from fl_node.bundle import archive
from fl_node.bundle.proof import proof_to_json
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


@pytest.fixture(scope="module")
def proof(played: Federation) -> HeadProof:
    """That a block holds the head, as an endpoint gave it."""
    return proof_of(played.ledger.contract, played.task, head_of(played))


@pytest.fixture(scope="module")
def block(played: Federation, proof: HeadProof) -> bytes:
    """The hash of the block that it is of, as somebody wrote it down."""
    return follow(proof, played.ledger.contract, played.task).block


@pytest.fixture(scope="module")
def proven(played: Federation, proof: HeadProof) -> Path:
    path = played.folder / "proven.zip"
    write_bundle(
        path, played.ledger, played.store, played.task, prove=lambda task, head, block: proof
    )
    return path


def said_by(path: Path, block: bytes | None = None) -> list[tuple[str, str]]:
    """What the audit of a bundle finds, whose proof it believes as far as somebody trusts this block."""
    found = read_bundle(path)
    assert found.proof
    report = audit_of(path, held=HeldByBlock(found.proof, block))
    assert (report.in_block is None) == bool(report.findings)
    return [(finding.step, finding.message) for finding in report.findings]


def carrying(proof: HeadProof) -> Spoil:
    return lambda files: files.update({"proof.json": proof_to_json(proof)})


class TestLyingAboutTheBlock:
    """Who trusts the hash of a block believes nothing else about the chain: every lie has to fit below that hash."""

    def test_the_genuine_one_is_clean(self, proven: Path, block: bytes) -> None:
        assert said_by(proven, block) == said_by(proven) == []

    def test_a_block_of_a_chain_that_never_was_needs_a_hash_from_elsewhere(
        self, played: Federation, tmp_path: Path, block: bytes
    ) -> None:
        """Anybody can make a history, a state that holds its head, and a header over that state."""
        invented = played_in(tmp_path / "invented", small_manifest(seed=6))
        made = proof_of(invented.ledger.contract, invented.task, head_of(invented))
        path = tmp_path / "invented.zip"
        write_bundle(
            path, invented.ledger, invented.store, invented.task, prove=lambda *asked: made
        )
        assert said_by(path) == []
        assert said_by(path, block) == [
            ("A2", "the proof is of another block than the expected one")
        ]

    def test_the_genuine_block_does_not_hold_another_history(
        self, proof: HeadProof, block: bytes, tmp_path: Path
    ) -> None:
        invented = played_in(tmp_path / "invented", small_manifest(seed=6))
        path = tmp_path / "invented.zip"
        write_bundle(
            path, invented.ledger, invented.store, invented.task, prove=lambda *asked: proof
        )
        assert said_by(path, block) == [
            ("A2", "the block that the proof is of holds another history head")
        ]

    def test_nor_an_older_moment_of_the_same_task(
        self, played: Federation, proven: Path, proof: HeadProof, block: bytes, tmp_path: Path
    ) -> None:
        federation = federation_in(tmp_path / "running")
        path = tmp_path / "old.zip"
        older = federation.ledger, federation.store, federation.task
        write_bundle(path, *older, prove=lambda *asked: proof)
        assert ("A2", "the block that the proof is of holds another history head") in said_by(
            path, block
        )

    @pytest.mark.parametrize("fields", [{"number": 5}, {"timestamp": 10**9 + 1}, {"nonce": b""}])
    def test_another_header_is_another_block(
        self, proven: Path, proof: HeadProof, block: bytes, tmp_path: Path, fields: dict[str, Any]
    ) -> None:
        path = spoilt(proven, tmp_path, carrying(with_header(proof, **fields)))
        assert ("A2", "the proof is of another block than the expected one") in said_by(path, block)

    def test_the_slot_of_another_task_is_not_this_ones(
        self, played: Federation, proven: Path, block: bytes, tmp_path: Path
    ) -> None:
        other = proof_of(played.ledger.contract, played.task + 100, head_of(played))
        ((step, message),) = said_by(spoilt(proven, tmp_path, carrying(other)), block)
        assert (step, "the slot's path" in message) == ("A2", True)

    def test_the_account_of_another_contract_is_not_this_ones(
        self, played: Federation, proven: Path, block: bytes, tmp_path: Path
    ) -> None:
        other = proof_of(NOBODY, played.task, head_of(played))
        ((step, message),) = said_by(spoilt(proven, tmp_path, carrying(other)), block)
        assert (step, "the account's path" in message) == ("A2", True)

    def test_a_contract_with_other_code_may_have_put_any_head_there(
        self, played: Federation, proven: Path, tmp_path: Path
    ) -> None:
        other = proof_of(played.ledger.contract, played.task, head_of(played), code=bytes(32))
        trusted = follow(other, played.ledger.contract, played.task).block
        assert said_by(spoilt(proven, tmp_path, carrying(other)), trusted) == [
            ("A1", "in the block that the proof is of, other code lies at the contract's address")
        ]

    @pytest.mark.parametrize("name", ["account", "storage"])
    def test_a_proof_that_is_cut_proves_nothing(
        self, proven: Path, proof: HeadProof, block: bytes, tmp_path: Path, name: str
    ) -> None:
        for nodes in (getattr(proof, name)[:-1], getattr(proof, name)[1:], ()):
            path = spoilt(proven, tmp_path, carrying(replace(proof, **{name: nodes})))
            ((step, message),) = said_by(path, block)
            assert (step, "breaks off" in message) == ("A2", True)

    @pytest.mark.parametrize("when", [{"number": 0}, {"time": 999_999}])
    def test_an_event_after_the_block_that_holds_it_is_found(
        self, played: Federation, proven: Path, tmp_path: Path, when: dict[str, int]
    ) -> None:
        early = proof_of(played.ledger.contract, played.task, head_of(played), **when)
        trusted = follow(early, played.ledger.contract, played.task).block
        ((step, message),) = said_by(spoilt(proven, tmp_path, carrying(early)), trusted)
        assert (step, "happened after the block" in message) == ("A2", True)

    def test_a_log_without_events_is_found_with_a_proof_too(
        self, proven: Path, proof: HeadProof, block: bytes, tmp_path: Path
    ) -> None:
        emptied = spoilt(proven, tmp_path, edited("events.json", lambda log: log.clear()))
        held = HeldByBlock(proof, block)
        messages = {finding.message for finding in audit_of(emptied, held=held).findings}
        assert "the event log does not give the contract's history head" in messages

    def test_who_trusts_a_block_takes_no_bundle_without_a_proof(
        self, ganchor: Ganchor, genuine: Path, block: bytes
    ) -> None:
        outcome = ganchor("audit", "--bundle", genuine, "--expect-block", block.hex())
        assert (outcome.code, outcome.out) == (2, "")
        assert "carries no proof that a block holds its history head" in outcome.err

    def test_the_command_says_which_block_and_whether_somebody_trusts_it(
        self, ganchor: Ganchor, proven: Path, block: bytes
    ) -> None:
        trusted = ganchor("audit", "--bundle", proven, "--expect-block", "0x" + block.hex())
        assert trusted.code == 0
        assert (
            f"this head is in block 1000000 of 2001-09-09 01:46:40 UTC, {block.hex()}"
            in trusted.out
        )
        assert "not checked" not in trusted.out
        unnamed = ganchor("audit", "--bundle", proven)
        assert unnamed.code == 0
        assert "not checked, compare the block's hash with a chain that you trust: " in unnamed.out
        other = ganchor("audit", "--bundle", proven, "--expect-block", DIGEST)
        assert other.code == 1
        assert "the proof is of another block than the expected one" in other.out


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

    @pytest.mark.parametrize(
        "content",
        [b"", b"[" * 1_000, b"{}", b'{"header":"0x","account":[],"storage":[]}', b" " * 600_000],
    )
    def test_a_proof_of_another_form_is_none(
        self, genuine: Path, tmp_path: Path, content: bytes
    ) -> None:
        path = spoilt(genuine, tmp_path, lambda files: files.update({"proof.json": content}))
        with pytest.raises(BundleInvalid, match=r"proof\.json"):
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
