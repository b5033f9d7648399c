"""proof.json: what a bundle carries where an endpoint proves its head, how it is read, what the audit makes of it."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from doubles import Federation
from proving import NUMBER, TIME, proof_of

from chain.errors import ChainRefused, ChainUnreachable, ProofInvalid
from chain.proofs import HeadProof, follow
from fl_node.audit import Status, audit
from fl_node.audit.proven import HeldByBlock
from fl_node.bundle.proof import MAX_PROOF_BYTES, proof_to_json, read_proof
from fl_node.bundle.reading import read_bundle
from fl_node.bundle.writing import Prove, Written, write_bundle
from fl_node.errors import BundleInvalid


def written(path: Path, federation: Federation, prove: Prove | None) -> Written:
    return write_bundle(path, federation.ledger, federation.store, federation.task, prove=prove)


def proves(federation: Federation) -> Prove:
    return lambda task, head, block: proof_of(federation.ledger.contract, task, head)


class TestWriting:
    def test_what_the_endpoint_proves_goes_with_it(
        self, finished: Federation, tmp_path: Path
    ) -> None:
        told = written(tmp_path / "task.zip", finished, proves(finished))
        found = read_bundle(tmp_path / "task.zip")
        assert told.proof == found.proof and told.unproven is None
        assert found.proof is not None
        proven = follow(found.proof, finished.ledger.contract, finished.task)
        assert proven.head == finished.ledger.task_state(finished.task).history_head

    def test_it_is_asked_for_the_head_in_the_block_of_the_last_event(
        self, finished: Federation, tmp_path: Path
    ) -> None:
        asked: list[tuple[int, bytes, int]] = []

        def prove(task: int, head: bytes, block: int) -> HeadProof:
            asked.append((task, head, block))
            raise ChainRefused("the method does not exist")

        written(tmp_path / "task.zip", finished, prove)
        state = finished.ledger.task_state(finished.task)
        *_, last = finished.ledger.history(finished.task)
        assert asked == [(finished.task, state.history_head, last.block_number)]

    @pytest.mark.parametrize("error", [ChainRefused, ChainUnreachable, ProofInvalid])
    def test_without_a_proof_it_is_a_bundle_all_the_same(
        self, finished: Federation, tmp_path: Path, error: type[Exception]
    ) -> None:
        def prove(task: int, head: bytes, block: int) -> HeadProof:
            raise error("not this one")

        told = written(tmp_path / "asked.zip", finished, prove)
        assert (told.proof, told.unproven) == (None, "not this one")
        assert written(tmp_path / "unasked.zip", finished, None).unproven is None
        assert (tmp_path / "asked.zip").read_bytes() == (tmp_path / "unasked.zip").read_bytes()
        assert read_bundle(tmp_path / "asked.zip").proof is None

    def test_its_files_stand_in_order(self, finished: Federation, tmp_path: Path) -> None:
        written(tmp_path / "task.zip", finished, proves(finished))
        with zipfile.ZipFile(tmp_path / "task.zip") as archive:
            names = archive.namelist()
        assert "proof.json" in names and names == sorted(names)


PROOF = HeadProof(b"\xc0", (b"\1", b"\2"), ())
GENUINE = b'{"account":["0x01","0x02"],"header":"0xc0","storage":[]}'


class TestReading:
    def test_it_has_one_spelling(self) -> None:
        assert proof_to_json(PROOF) == GENUINE
        assert read_proof(GENUINE) == PROOF

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (b"", "proof.json: "),
            (b"[]", "expected an object with account, header, storage"),
            (GENUINE.replace(b'"storage":[]', b'"storage":[],"task":1'), "expected an object"),
            (GENUINE.replace(b"0xc0", b"c0"), "expected bytes in hex"),
            (GENUINE.replace(b"[]", b"{}"), "at most 65 nodes"),
            (GENUINE.replace(b"[]", b"[1]"), "expected bytes in hex"),
            (GENUINE.replace(b"[]", b"[" + b'"0x",' * 65 + b'"0x"]'), "at most 65 nodes"),
            (GENUINE.replace(b"0xc0", b"0xC0"), "not spelt as the specification says"),
            (GENUINE + b"\n", "not spelt as the specification says"),
            (b" " * (MAX_PROOF_BYTES + 1), "at most 524288"),
            (b"\xff", "proof.json: "),
        ],
    )
    def test_what_is_spelt_otherwise_is_no_bundle(self, content: bytes, says: str) -> None:
        with pytest.raises(BundleInvalid, match=says):
            read_proof(content)


class TestAuditing:
    @pytest.mark.parametrize("trusted", [True, False])
    def test_the_report_names_the_block_and_who_named_it(
        self, finished: Federation, trusted: bool
    ) -> None:
        ledger, task = finished.ledger, finished.task
        proof = proof_of(ledger.contract, task, ledger.task_state(task).history_head)
        block = follow(proof, ledger.contract, task).block
        held = HeldByBlock(proof, block if trusted else None)
        report = audit(lambda: ledger, finished.store, task, held=held)
        assert report.findings == () and report.statuses["A2"] is Status.CLEAN
        assert report.to_json()["in_block"] == {
            "block": block.hex(),
            "number": NUMBER,
            "time": TIME,
            "trusted": trusted,
        }

    def test_without_a_proof_there_is_no_block(self, finished: Federation) -> None:
        report = audit(lambda: finished.ledger, finished.store, finished.task)
        assert report.to_json()["in_block"] is None
