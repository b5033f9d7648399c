"""The bytes of cosigned notes and of witnesses' keys."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.types import Address
from fl_node.errors import Misuse, NoteInvalid
from fl_node.witness.cosigning import cosign, is_by, is_genuine
from fl_node.witness.keys import create_key, open_key, read_verifier_key, witness_key
from fl_node.witness.note import (
    MAX_NOTES_BYTES,
    Checkpoint,
    Note,
    notes_to_bytes,
    read_notes,
)

VECTOR = Path(__file__).parents[2] / "vectors" / "cosigned.txt"
CONTRACT = Address("0x00000000000000000000000000000000000000C0")
ALICE = witness_key("alice.example/witness", bytes(range(32)))
BOB = witness_key("bob.example/witness", bytes(32))
POINT = Checkpoint(1337, CONTRACT, 1, 2, bytes.fromhex("b3615f92d43628449333e30ecdcaf0a7"
                                                       "ee3a108d4a1dbe08c8524ebd9a83cdc5"))  # fmt: skip
NOTE = Note(POINT, (cosign(POINT, ALICE, 1_700_000_000),))

points = st.builds(
    Checkpoint,
    st.integers(1, 1 << 64),
    st.just(CONTRACT),
    st.integers(1, 1 << 64),
    st.integers(1, 999_999_999),
    st.binary(min_size=32, max_size=32),
)
times = st.integers(0, (1 << 63) - 1)
keys = st.sampled_from([ALICE, BOB])


class TestTheVector:
    def test_it_is_what_alice_signs(self) -> None:
        assert VECTOR.read_bytes() == str(NOTE).encode()

    def test_it_is_genuine(self) -> None:
        (note,) = read_notes(VECTOR.read_bytes())
        assert note.checkpoint == POINT
        assert is_genuine(POINT, note.cosignatures[0], ALICE.verifier)

    def test_alice_is_known_by_this_line(self) -> None:
        line = "alice.example/witness+3897511e+BAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
        assert str(ALICE.verifier) == line
        assert read_verifier_key(f" {line}\n") == ALICE.verifier


class TestSigning:
    @given(points, times, keys)
    def test_what_was_signed_is_genuine_after_a_round_trip(self, point, time, key) -> None:
        note = Note(point, (cosign(point, key, time),))
        (read,) = read_notes(notes_to_bytes([note]))
        assert read == note
        assert is_genuine(read.checkpoint, read.cosignatures[0], key.verifier)

    @pytest.mark.parametrize(
        "change",
        [
            {"chain_id": 1}, {"contract": Address("0x" + "00" * 20)}, {"task": 2}, {"events": 3},
            {"head": bytes(32)},
        ],
        ids=str,
    )  # fmt: skip
    def test_it_covers_the_whole_checkpoint(self, change) -> None:
        assert not is_genuine(replace(POINT, **change), NOTE.cosignatures[0], ALICE.verifier)

    def test_it_covers_the_time(self) -> None:
        later = replace(NOTE.cosignatures[0], time=1_700_000_001)
        assert not is_genuine(POINT, later, ALICE.verifier)

    def test_it_is_of_one_key(self) -> None:
        assert not is_genuine(POINT, NOTE.cosignatures[0], BOB.verifier)
        assert is_by(NOTE.cosignatures[0], ALICE.verifier)
        assert not is_by(NOTE.cosignatures[0], replace(BOB.verifier, name=ALICE.verifier.name))

    def test_a_key_that_is_no_point_of_the_curve_has_signed_nothing(self) -> None:
        bad = replace(ALICE.verifier, public=b"\xff" * 32)
        assert not is_genuine(POINT, NOTE.cosignatures[0], bad)


class TestFilesOfNotes:
    def test_equal_notes_give_equal_bytes_in_any_order(self) -> None:
        later = replace(POINT, events=10)
        one, two = (
            Note(point, (cosign(point, key, 5),)) for point, key in ((POINT, ALICE), (later, BOB))
        )
        again = Note(POINT, (cosign(POINT, BOB, 6),))
        content = notes_to_bytes([two, one, again, one])
        assert content == notes_to_bytes([again, one, two])
        read = read_notes(content)
        assert [len(note.cosignatures) for note in read] == [2, 1]
        assert notes_to_bytes(read) == content

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("ganchor/", "other/"),
            ("/1\n2\n", "/01\n2\n"),
            ("1337", "-1"),
            ("00C0", "00c0"),
            ("\n2\n", "\n0\n"),
            ("\n2\n", "\n02\n"),
            ("\n2\n", "\n99999999999\n"),
            ("\n2\n", "\n2\nmore\n"),
            ("xYI=", "xYJ="),
            ("\n\n", "\n"),
            ("— ", "- "),
            ("— alice", "—  alice"),
            ("— alice", "— ali+ce"),
            ("— alice", "— ali\u202ece"),
            ("— alice", "— ali\x1bce"),
            ("\n", "\r\n"),
        ],
    )  # fmt: skip
    def test_another_spelling_is_refused(self, old: str, new: str) -> None:
        text = str(NOTE).replace("zcU=", "xYI=") if old == "xYI=" else str(NOTE)
        assert old in text
        with pytest.raises(NoteInvalid) as refused:
            read_notes(text.replace(old, new).encode())
        assert str(refused.value).isprintable()

    @pytest.mark.parametrize(
        "content",
        [b"", b"\n", b"\n\n", b"\xff", b"x" * (MAX_NOTES_BYTES + 1), str(POINT).encode()],
        ids=range(6),
    )
    def test_what_is_no_note_is_refused(self, content: bytes) -> None:
        with pytest.raises(NoteInvalid):
            read_notes(content)

    @given(st.binary(max_size=300))
    def test_anything_is_refused_in_one_line(self, content: bytes) -> None:
        with pytest.raises(NoteInvalid) as refused:
            read_notes(content)
        assert str(refused.value).isprintable()

    def test_a_time_beyond_the_last_is_refused(self) -> None:
        late = replace(NOTE.cosignatures[0], time=1 << 63)
        with pytest.raises(NoteInvalid):
            read_notes(str(Note(POINT, (late,))).encode())


class TestKeys:
    @pytest.mark.parametrize(
        "line",
        ["", "alice", "alice+00000000+BAOh", str(ALICE.verifier)[:-4],
         str(ALICE.verifier).replace("3897511e", "3897511E"),
         str(ALICE.verifier).replace("alice", "malice"),
         str(ALICE.verifier).replace("+BA", "+AQ"),
         "x" * 10_000],
        ids=range(8),
    )  # fmt: skip
    def test_what_is_no_key_is_refused(self, line: str) -> None:
        with pytest.raises(NoteInvalid) as refused:
            read_verifier_key(line)
        assert len(str(refused.value)) < 500

    def test_a_new_key_is_opened_with_its_password_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "key"
        verifier = create_key(path, "alice.example/witness", "secret")
        assert path.stat().st_mode & 0o777 == 0o600
        opened = open_key(path, "secret")
        assert opened.verifier == verifier == read_verifier_key(path.read_text().split("\n")[0])
        assert is_genuine(POINT, cosign(POINT, opened, 5), verifier)
        with pytest.raises(Misuse, match="wrong password"):
            open_key(path, "other")

    def test_it_never_replaces_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("mine")
        with pytest.raises(Misuse, match="exists already"):
            create_key(tmp_path / "key", "alice", "secret")
        assert (tmp_path / "key").read_text() == "mine"
        assert [*tmp_path.iterdir()] == [tmp_path / "key"]

    @pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u00a0b", "ä", "x" * 201])
    def test_no_witness_has_such_a_name(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(Misuse, match="a witness's name"):
            create_key(tmp_path / "key", name, "secret")

    def test_an_empty_password_is_none(self, tmp_path: Path) -> None:
        with pytest.raises(Misuse, match="password is empty"):
            create_key(tmp_path / "key", "alice", "")

    def test_a_name_that_was_changed_in_the_file_is_noticed(self, tmp_path: Path) -> None:
        path = tmp_path / "key"
        create_key(path, "alice", "secret")
        create_key(tmp_path / "other", "alice", "secret")
        first = (tmp_path / "other").read_text().split("\n")[0]
        path.write_text(re.sub("^[^\n]+", first.replace("\\", ""), path.read_text()))
        with pytest.raises(Misuse, match="another key than its first line names"):
            open_key(path, "secret")

    @pytest.mark.parametrize("content", ["", "alice\n", f"{ALICE.verifier}\n"], ids=range(3))
    def test_what_holds_no_key_is_refused(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "key").write_text(content)
        with pytest.raises(Misuse, match="key "):
            open_key(tmp_path / "key", "secret")

    def test_a_key_is_not_shown(self) -> None:
        assert repr(ALICE) == f"WitnessKey({ALICE.verifier})"
