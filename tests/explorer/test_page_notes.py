"""What witnesses signed, read and checked by the page as by the audit: the same notes, the same findings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from asking import Page, Refused, site_of
from doubles import Federation, played_in
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chain.history import first_head, fold
from chain.types import Address
from fl_node.audit.cosignatures import Witnesses, a2_cosigned
from fl_node.audit.findings import Findings
from fl_node.errors import NoteInvalid
from fl_node.history.kept import KeptLog, TaskLog
from fl_node.witness.cosigning import cosign
from fl_node.witness.keys import VerifierKey, WitnessKey, read_verifier_key, witness_key
from fl_node.witness.note import (
    MAX_NOTES_BYTES,
    Checkpoint,
    Cosignature,
    Note,
    notes_to_bytes,
    read_notes,
)

ENOUGH = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
VECTOR = (Path(__file__).parents[1] / "vectors" / "cosigned.txt").read_bytes()
ALICE = witness_key("alice.example/witness", bytes(range(32)))
BOB = witness_key("bob.example/witness", bytes(32))
MALLORY = witness_key(ALICE.verifier.name, bytes([9]) * 32)
POINT = read_notes(VECTOR)[0].checkpoint
UNSEEN = "none of the given witnesses has cosigned this history"
SIGNED = "alice.example/witness has cosigned"
FORGED = "a cosignature in the name of alice.example/witness is not made with its key"

names = (
    st.text(max_size=8)
    | st.text(st.characters(min_codepoint=0x1F, max_codepoint=0x80), max_size=8)
    | st.sampled_from(["a", "~" * 200, "~" * 201, "a\u0301", "a\u00a0", "\U0001f6d8"])
)
"""Most of any kind are none; what letters there are depends on a program's Unicode, so that a name has only ASCII."""
cosignatures = st.builds(
    Cosignature,
    names,
    st.binary(min_size=4, max_size=4),
    st.integers(0, (1 << 64) - 1),
    st.binary(min_size=64, max_size=64),
)
numbers = st.integers(1, 10**79)
points = st.builds(
    Checkpoint,
    numbers,
    st.just(POINT.contract),
    numbers,
    st.integers(0, 10**11),
    st.binary(min_size=32, max_size=32),
)
notes = st.builds(Note, points, st.lists(cosignatures, min_size=1, max_size=3).map(tuple))


def by_python(content: bytes) -> list[Any]:
    return [
        [
            note.checkpoint.origin,
            note.checkpoint.events,
            note.checkpoint.head.hex(),
            [[one.name, one.id.hex(), str(one.time), one.signature.hex()] for one in note.cosignatures],
        ]
        for note in read_notes(content)
    ]  # fmt: skip


def is_read_by_python(content: bytes) -> bool:
    with suppress(NoteInvalid):
        read_notes(content)
        return True
    return False


class TestFilesOfNotes:
    def test_the_vector_is_read(self, page: Page) -> None:
        assert page.ask("notes", VECTOR.hex()) == by_python(VECTOR)

    @ENOUGH
    @given(st.lists(notes, min_size=1, max_size=3))
    def test_what_one_reads_the_other_reads(self, page: Page, written: list[Note]) -> None:
        content = "\n".join(map(str, written)).encode(errors="surrogatepass")
        if is_read_by_python(content):
            assert page.ask("notes", content.hex()) == by_python(content)
        else:
            with pytest.raises(Refused, match="malformed"):
                page.ask("notes", content.hex())

    @ENOUGH
    @given(st.integers(0, len(VECTOR) - 1), st.integers(0, 255), st.sampled_from([0, 1, 2]))
    @example(len(VECTOR) - 1, 0x20, 1)
    @example(0, 0xEF, 1)
    def test_no_byte_of_a_note_may_be_another_one_here_and_not_there(
        self, page: Page, at: int, byte: int, replaced: int
    ) -> None:
        content = VECTOR[:at] + bytes([byte]) + VECTOR[at + replaced :]
        if is_read_by_python(content):
            assert page.ask("notes", content.hex()) == by_python(content)
        else:
            with pytest.raises(Refused, match="malformed"):
                page.ask("notes", content.hex())

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("ganchor/", "other/"), ("ganchor/", "\ufeffganchor/"), ("/1\n2\n", "/01\n2\n"), ("1337", "-1"),
            ("00C0", "00c0"), ("\n2\n", "\n0\n"), ("\n2\n", "\n02\n"), ("\n2\n", "\n99999999999\n"),
            ("\n2\n", "\n2\nmore\n"), ("zcU=", "zcV="), ("zcU=", "zcU"), ("zcU=", " zcU="), ("\n\n", "\n"),
            ("— ", "- "), ("— alice", "—  alice"), ("— alice", "— ali+ce"), ("— alice", "— ali\u202ece"),
            ("— alice", "— ali\u00a0ce"), ("— alice", "— ali\x1bce"), ("\n", "\r\n"),
        ],
    )  # fmt: skip
    def test_another_spelling_is_refused(self, page: Page, old: str, new: str) -> None:
        assert old in VECTOR.decode()
        with pytest.raises(Refused, match="malformed"):
            page.ask("notes", VECTOR.decode().replace(old, new).encode().hex())

    @pytest.mark.parametrize(
        "content",
        [b"", b"\n", b"\n\n", b"\xff", b"x" * (MAX_NOTES_BYTES + 1), str(POINT).encode()],
        ids=range(6),
    )
    def test_what_is_no_note_is_refused(self, page: Page, content: bytes) -> None:
        with pytest.raises(Refused, match="malformed"):
            page.ask("notes", content.hex())

    def test_many_are_read_up_to_the_longest_file(self, page: Page) -> None:
        line = str(read_notes(VECTOR)[0].cosignatures[0])
        content = VECTOR + line.encode() * ((MAX_NOTES_BYTES - len(VECTOR)) // len(line.encode()))
        assert len(page.ask("notes", content.hex())[0][3]) > 1000


class TestKeys:
    @pytest.mark.parametrize("key", [ALICE, BOB, MALLORY, witness_key("~/!", bytes(32))], ids=str)
    def test_a_witness_is_known_by_its_line(self, page: Page, key: WitnessKey) -> None:
        known = [key.verifier.name, key.verifier.id.hex(), key.verifier.public.hex()]
        assert page.ask("verifierKey", f" {key.verifier}\n") == known

    def test_base64_has_plus_signs_too(self, page: Page) -> None:
        key = VerifierKey("a", b"\xfb\xef" + b"\xfb\xef\xbe" * 10)
        assert str(key).count("+") > 5
        assert page.ask("verifierKey", str(key))[2] == key.public.hex()

    @pytest.mark.parametrize(
        "line",
        ["", "alice", "alice+00000000+BAOh", str(ALICE.verifier)[:-4],
         str(ALICE.verifier).replace("3897511e", "3897511E"),
         str(ALICE.verifier).replace("alice", "malice"),
         str(ALICE.verifier).replace("+BA", "+AQ"),
         str(VerifierKey("a b", bytes(32))), str(VerifierKey("x" * 201, bytes(32))),
         str(VerifierKey("a", bytes(31))), f"{ALICE.verifier}\n{BOB.verifier}", "x" * 10_000],
        ids=range(12),
    )  # fmt: skip
    def test_what_is_no_key_is_refused(self, page: Page, line: str) -> None:
        with pytest.raises(NoteInvalid):
            read_verifier_key(line)
        with pytest.raises(Refused, match="malformed"):
            page.ask("verifierKey", line)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    return played_in(tmp_path_factory.mktemp("played"))


@pytest.fixture(scope="module")
def log(played: Federation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TaskLog]:
    kept = KeptLog(played.ledger, played.task, tmp_path_factory.mktemp("log") / "log.sqlite")
    with kept.read_to(played.ledger.task_state(played.task).history_head) as whole:
        yield whole


@pytest.fixture(scope="module")
def heads(played: Federation) -> list[str]:
    ledger = played.ledger
    found = [first_head(ledger.chain_id, ledger.contract, played.task)]
    for entry in ledger.history(played.task):
        found.append(fold(found[-1], entry.event))
    return [head.hex() for head in found]


@pytest.fixture
def last(played: Federation, heads: list[str]) -> Checkpoint:
    """The point that a witness signs when the task has ended."""
    return point(played, heads, len(heads) - 1)


def point(played: Federation, heads: list[str], events: int) -> Checkpoint:
    ledger = played.ledger
    head = bytes.fromhex(heads[events])
    return Checkpoint(ledger.chain_id, ledger.contract, played.task, events, head)


def signed(at: Checkpoint, *keys: WitnessKey) -> Note:
    return Note(at, tuple(cosign(at, key, 77) for key in keys))


class Asked:
    """The page and the audit, of which each checks the same notes."""

    def __init__(self, page: Page, played: Federation, log: TaskLog, heads: list[str]) -> None:
        self._page, self._log, self._heads = page, log, heads
        self._site = (played.ledger.chain_id, played.ledger.contract, played.task)

    def __call__(self, *written: Note, trusted: tuple[WitnessKey, ...] = (ALICE,)) -> Any:
        """What the page answers, which is what the audit answers."""
        keys = tuple(key.verifier for key in trusted)
        content = notes_to_bytes(written)
        by_page = self.by_page("cosigned", keys, content)
        assert by_page == self._by_audit(keys, content)
        return by_page

    def by_page(self, name: str, keys: tuple[VerifierKey, ...], content: bytes, *more: Any) -> Any:
        """What the page answers."""
        lines = [str(key) for key in keys]
        return self._page.ask(name, *more, site_of(*self._site), self._heads, lines, content.hex())

    def _by_audit(self, keys: tuple[VerifierKey, ...], content: bytes) -> Any:
        findings, (chain_id, contract, task) = Findings(), self._site
        origin = Checkpoint(chain_id, contract, task, 1, bytes(32)).origin
        cosigned = a2_cosigned(findings, Witnesses(keys, read_notes(content)), origin, self._log)
        found = [{k: v for k, v in asdict(one).items() if v is not None} for one in findings.found]
        return {
            "cosigned": [{**asdict(one), "time": str(one.time)} for one in cosigned],
            "findings": found,
        }


@pytest.fixture
def checked(page: Page, played: Federation, log: TaskLog, heads: list[str]) -> Asked:
    return Asked(page, played, log, heads)


def messages(answer: Any) -> list[str]:
    return [finding["message"] for finding in answer["findings"]]


class TestWhatTheySayOfThisHistory:
    def test_who_signed_it_is_said(self, checked: Asked, last: Checkpoint) -> None:
        answer = checked(signed(last, ALICE))
        assert answer["findings"] == []
        (one,) = answer["cosigned"]
        assert (one["witness"], one["time"], one["checked"]) == (ALICE.verifier.name, "77", True)

    def test_each_point_of_it_is_one(
        self, checked: Asked, played: Federation, heads: list[str]
    ) -> None:
        for events in range(1, len(heads)):
            assert checked(signed(point(played, heads, events), ALICE))["findings"] == []

    @pytest.mark.parametrize(
        ("change", "found"),
        [
            ({"head": bytes(32)}, f"{SIGNED} another history"),
            ({"events": 1}, f"{SIGNED} another history"),
            ({"events": 9_999_999_999}, f"{SIGNED} another history"),
            ({"task": 2}, f"{SIGNED} the history of something else"),
            ({"chain_id": 1}, f"{SIGNED} the history of something else"),
            ({"contract": Address("0x" + "00" * 20)}, f"{SIGNED} the history of something else"),
        ],
        ids=str,
    )
    def test_another_point_is_found(
        self, checked: Asked, last: Checkpoint, change: dict[str, Any], found: str
    ) -> None:
        assert messages(checked(signed(replace(last, **change), ALICE))) == [found, UNSEEN]

    def test_a_signature_in_its_name_counts_for_nothing(
        self, checked: Asked, last: Checkpoint
    ) -> None:
        answer = checked(signed(last, MALLORY))
        assert messages(answer) == [UNSEEN]
        assert [one["checked"] for one in answer["cosigned"]] == [False]

    @pytest.mark.parametrize("change", [{"time": 78}, {"signature": bytes(64)}], ids=str)
    def test_a_signature_that_is_not_made_with_its_key_is_found(
        self, checked: Asked, last: Checkpoint, change: dict[str, Any]
    ) -> None:
        forged = replace(cosign(last, ALICE, 77), **change)
        assert messages(checked(Note(last, (forged,)))) == [FORGED, UNSEEN]

    def test_a_key_that_is_no_point_of_the_curve_has_signed_nothing(
        self, checked: Asked, last: Checkpoint
    ) -> None:
        key = replace(ALICE.verifier, public=b"\xff" * 32)
        note = Note(last, (replace(cosign(last, ALICE, 77), id=key.id),))
        answer = checked.by_page("cosigned", (key,), notes_to_bytes([note]))
        assert messages(answer) == [FORGED, UNSEEN]

    def test_strangers_change_nothing(self, checked: Asked, last: Checkpoint) -> None:
        answer = checked(signed(last, ALICE, BOB), signed(replace(last, task=7), BOB))
        assert answer["findings"] == []
        assert sorted(one["checked"] for one in answer["cosigned"]) == [False, False, True]

    def test_one_of_several_is_enough(self, checked: Asked, last: Checkpoint) -> None:
        assert checked(signed(last, BOB), trusted=(ALICE, BOB))["findings"] == []

    def test_nothing_is_checked_where_nobody_is_trusted(
        self, checked: Asked, last: Checkpoint
    ) -> None:
        answer = checked(signed(last, ALICE), trusted=())
        assert answer["findings"] == [] and not answer["cosigned"][0]["checked"]

    @pytest.mark.parametrize(
        ("subtle", "why"),
        [(None, "a browser checks signatures only"), ({}, "this browser has no Ed25519")],
        ids=["none", "another"],
    )
    def test_a_browser_that_cannot_tell_says_so(
        self, checked: Asked, last: Checkpoint, subtle: object, why: str
    ) -> None:
        content = notes_to_bytes([signed(last, ALICE)])
        with pytest.raises(Refused, match=why):
            checked.by_page("cosignedWith", (ALICE.verifier,), content, subtle)
