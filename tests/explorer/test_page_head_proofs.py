"""The page follows the proof that a block holds the head as the audit does: the same block, the same findings."""

from __future__ import annotations

import json
import re
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest
import rlp
from asking import PAGE, Page, Refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proving import NUMBER, TIME, proof_of, with_header
from strange_proofs import INVALID, damaged, strange_tries

from chain import answers
from chain.artifact import load_artifact
from chain.headers import header_from
from chain.proofs import MAX_NODES, HeadProof
from chain.types import Address
from fl_node.audit.findings import Findings
from fl_node.audit.proven import HeldByBlock, a2_in_block
from fl_node.blobs.canonical import canonical_json
from fl_node.bundle.proof import MAX_PROOF_BYTES, proof_to_json, read_proof
from fl_node.errors import BundleInvalid

VECTORS = Path(__file__).parents[1] / "vectors"
RECORDED = json.loads((VECTORS / "endpoint_proofs.json").read_text("utf-8"))
"""What anvil and hardhat's EDR answered about a block with two tasks."""

CONTRACT = Address("0x00000000000000000000000000000000000000C0")
HEAD = bytes(range(32))
TOLD = {"contract": CONTRACT, "task": "1"}
ENOUGH = settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def proof() -> HeadProof:
    return proof_of(CONTRACT, 1, HEAD)


@dataclass(frozen=True)
class Last:
    """The last entry of a log."""

    block_number: int
    timestamp: int


@dataclass(frozen=True)
class Log:
    """A log of which only the end matters."""

    entry: Last | None = None

    def last(self) -> Last | None:
        return self.entry


def asked(
    page: Page,
    proof: HeadProof,
    told: dict[str, str] = TOLD,
    head: bytes = HEAD,
    last: Last | None = None,
    block: bytes | None = None,
) -> Any:
    """What the page says: the block that it takes for proven, and its findings."""
    given = {
        "header": proof.header.hex(),
        "account": [node.hex() for node in proof.account],
        "storage": [node.hex() for node in proof.storage],
    }
    end = last and {"block": last.block_number, "timestamp": last.timestamp}
    return page.ask("held", given, told, head.hex(), end, block.hex() if block else "")


def agreed(page: Page, proof: HeadProof, **circumstances: Any) -> Any:
    """What the page says, if it is what the audit says, but for the library's own words about odd bytes."""
    here = asked(page, proof, **circumstances)
    told = circumstances.get("told", TOLD)
    findings = Findings()
    held = a2_in_block(
        findings,
        HeldByBlock(proof, circumstances.get("block")),
        Address(told["contract"]),
        int(told["task"]),
        circumstances.get("head", HEAD),
        cast(Any, Log(circumstances.get("last"))),
    )
    assert [
        (one["step"], own_words(one["message"]), one.get("expected"), one.get("actual"))
        for one in here["findings"]
    ] == [(one.step, own_words(one.message), one.expected, one.actual) for one in findings.found]
    proven = here["proven"]
    assert (held is None) == (proven is None)
    if held:
        block = (proven["block"], int(proven["number"]), int(proven["time"]))
        assert block == astuple(held)[:3]
    return here


def own_words(message: str) -> str:
    """Without what each side's reader of RLP and tries says about odd bytes."""
    return re.sub(
        "path (breaks off:|ends where no) .*|not RLP: .*|not a list of bytes", "…", message
    )


class TestFollowing:
    def test_the_contract_is_the_committed_one(self) -> None:
        (said,) = re.findall('CODE_HASH = "(.*)";', (PAGE / "contract.js").read_text("utf-8"))
        assert said == load_artifact().code_hash.hex()

    @pytest.mark.parametrize("client", RECORDED)
    def test_what_clients_answer_leads_to_the_contracts_head(self, page: Page, client: str) -> None:
        said = RECORDED[client]
        given = answers.account_proof(said["proof"])
        made = HeadProof(header_from(said["block"]), given.account, given.storage)
        told = {"contract": said["contract"], "task": str(said["task"])}
        head = bytes.fromhex(said["head"])
        assert agreed(page, made, told=told, head=head) == {
            "proven": {
                "block": said["block"]["hash"][2:],
                "number": str(int(said["block"]["number"], 16)),
                "time": str(int(said["block"]["timestamp"], 16)),
                "code": load_artifact().code_hash.hex(),
                "head": said["head"],
            },
            "findings": [],
        }

    @ENOUGH
    @given(
        contract=st.binary(min_size=20, max_size=20),
        task=st.integers(0, 2**256 - 1),
        head=st.binary(min_size=1, max_size=32),
    )
    def test_a_proof_leads_to_its_head(
        self, page: Page, contract: bytes, task: int, head: bytes
    ) -> None:
        address, word = answers.address("0x" + contract.hex()), head.rjust(32, b"\1")
        told = {"contract": address, "task": str(task)}
        found = agreed(page, proof_of(address, task, word), told=told, head=word)
        assert found["proven"]["head"] == word.hex()

    def test_another_contract_or_task_is_elsewhere(self, page: Page, proof: HeadProof) -> None:
        for told in ({**TOLD, "contract": "0x" + "34" * 20}, {**TOLD, "task": "200"}):
            assert agreed(page, proof, told=told)["proven"] is None


class TestWhatProvesNothing:
    @pytest.mark.parametrize("name", INVALID)
    def test_it_is_refused_by_both(self, page: Page, proof: HeadProof, name: str) -> None:
        spoil, says = INVALID[name]
        ((found),) = agreed(page, spoil(proof))["findings"]
        assert found["step"] == "A2"
        assert re.search(f"the proof of the history head does not hold: .*{says}", found["message"])

    def test_what_is_damaged_is_refused_by_both_or_by_neither(
        self, page: Page, proof: HeadProof
    ) -> None:
        verdicts = {agreed(page, one)["proven"] is None for one in damaged(proof, 400)}
        assert verdicts == {True, False}

    def test_so_is_what_no_chain_makes(self, page: Page) -> None:
        """Every hash of it fits: only the form of the nodes decides."""
        found = [agreed(page, one) for one in strange_tries(CONTRACT, 1, 400)]
        messages = {finding["message"] for one in found for finding in one["findings"]}
        assert any("another history head" in message for message in messages)
        assert any("breaks off" in message for message in messages)

    @pytest.mark.parametrize(
        "spelling", [b"", b"\x81\x01", b"\xb8\x01a", b"\xb9\0\x38" + bytes(56), b"\xf8\x02\1\2"]
    )
    def test_rlp_has_one_spelling(self, page: Page, proof: HeadProof, spelling: bytes) -> None:
        for items in (spelling, rlp.encode([b"\x20", spelling])):
            spoilt = replace(proof, storage=(*proof.storage, bytes(items)))
            agreed(page, spoilt)


class TestFindings:
    def test_the_right_block(self, page: Page, proof: HeadProof) -> None:
        block = bytes.fromhex(agreed(page, proof)["proven"]["block"])
        assert agreed(page, proof, block=block) == agreed(page, proof)
        assert agreed(page, proof, last=Last(NUMBER, TIME))["findings"] == []

    def test_another_block(self, page: Page, proof: HeadProof) -> None:
        (found,) = agreed(page, proof, block=bytes(32))["findings"]
        assert found["message"] == "the proof is of another block than the expected one"

    def test_another_head(self, page: Page, proof: HeadProof) -> None:
        (found,) = agreed(page, proof, head=bytes(32))["findings"]
        assert found["message"] == "the block that the proof is of holds another history head"

    def test_other_code(self, page: Page) -> None:
        (found,) = agreed(page, proof_of(CONTRACT, 1, HEAD, code=bytes(32)))["findings"]
        assert (found["step"], "other code lies" in found["message"]) == ("A1", True)

    @pytest.mark.parametrize("last", [Last(NUMBER + 1, TIME), Last(NUMBER, TIME + 1)])
    def test_an_event_after_the_block(self, page: Page, proof: HeadProof, last: Last) -> None:
        (found,) = agreed(page, proof, last=last)["findings"]
        assert "happened after the block" in found["message"]

    def test_all_at_once(self, page: Page) -> None:
        other = proof_of(CONTRACT, 1, HEAD, code=bytes(32), number=1, time=1)
        found = agreed(page, other, head=bytes(32), block=bytes(32), last=Last(2, 2))["findings"]
        assert [one["step"] for one in found] == ["A1", "A2", "A2", "A2"]

    def test_a_number_that_fits_no_float(self, page: Page, proof: HeadProof) -> None:
        large = with_header(proof, number=(1 << 64) - 1, timestamp=253_402_300_799)
        assert agreed(page, large)["proven"]["number"] == str((1 << 64) - 1)


GENUINE = (VECTORS / "proof.json").read_bytes()


class TestTheFile:
    def test_the_vector_is_read_whole(self, page: Page) -> None:
        found = read_proof(GENUINE)
        assert page.ask("proof", GENUINE.hex()) == {
            "header": found.header.hex(),
            "account": [node.hex() for node in found.account],
            "storage": [node.hex() for node in found.storage],
        }

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"[]",
            b"{}",
            b"null",
            b"\xff",
            GENUINE + b"\n",
            GENUINE.replace(b"0x", b"0X", 1),
            GENUINE.replace(b":", b": ", 1),
            GENUINE.upper(),
            b" " * (MAX_PROOF_BYTES + 1),
            b"[" * 1000,
            canonical_json({"account": [], "header": "0x", "more": 1, "storage": []}),
            canonical_json({"account": [], "header": 1, "storage": []}),
            canonical_json({"account": ["0x1"], "header": "0x", "storage": []}),
            canonical_json({"account": ["0x"] * (MAX_NODES + 1), "header": "0x", "storage": []}),
            canonical_json({"account": [], "header": "0x", "storage": {}}),
        ],
        ids=range(16),
    )
    def test_what_is_no_proof_is_refused_by_both(self, page: Page, content: bytes) -> None:
        with pytest.raises(BundleInvalid):
            read_proof(content)
        with pytest.raises(Refused, match="malformed"):
            page.ask("proof", content.hex())

    def test_an_empty_one_has_the_form(self, page: Page) -> None:
        empty = proof_to_json(HeadProof(b"", (), ()))
        assert page.ask("proof", empty.hex()) == {"header": "", "account": [], "storage": []}
