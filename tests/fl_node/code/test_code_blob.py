"""Reading code blobs: what a file, a folder and a wheel say of themselves, and what is refused."""

from __future__ import annotations

import io
import zipfile

import pytest
from archives import LINK, wheel, zipped
from hypothesis import given
from hypothesis import strategies as st

from fl_node.blobs.digest import digest_of
from fl_node.code.blob import MAX_CODE_BYTES, MAX_FILES, MODULE, Code, read_code
from fl_node.errors import BlobMalformed


def test_a_file_is_python_text() -> None:
    code = read_code("x = 'ü'\n".encode())
    assert (code.kind, code.files, code.tags) == ("file", {MODULE: 9}, ())
    assert code.text(MODULE) == "x = 'ü'\n"
    assert code.digest == digest_of("x = 'ü'\n".encode())


def test_a_folder_lists_its_files_in_order() -> None:
    code = read_code(memoryview(zipped({"b/two.py": "2", "a.py": "111"})))
    assert (code.kind, list(code.files.items())) == ("folder", [("a.py", 3), ("b/two.py", 1)])
    assert list(code.contents()) == [("a.py", b"111"), ("b/two.py", b"2")]


def test_folders_may_have_entries_of_their_own() -> None:
    assert read_code(zipped({"a/": "", "a/b.py": "1"})).files == {"a/b.py": 1}


def test_a_wheel_states_its_platforms() -> None:
    code = read_code(wheel("py2-none-any", "py3-none-any"))
    assert (code.kind, code.tags) == ("wheel", ("py2-none-any", "py3-none-any"))


def test_a_file_that_is_not_there_has_no_text() -> None:
    with pytest.raises(KeyError):
        read_code(zipped({"a.py": "1"})).text("b.py")


@pytest.mark.parametrize(
    "name",
    ["../a.py", "a/../../b.py", "/etc/a.py", "a//b.py", "./a.py", "C:/a.py", "a\\b.py", " a.py",
     "a\x1b[2J.py", "a\u202eyp.py", "a\nb.py", "x" * 201, "/".join("a" * 17), "..", "aux?.py"],
)  # fmt: skip
def test_names_that_lead_out_of_the_folder_or_hide_are_refused(name: str) -> None:
    with pytest.raises(BlobMalformed, match="a file with the name") as refusal:
        read_code(zipped({name: "1"}))
    assert str(refusal.value).isprintable()


def test_a_name_cut_by_a_null_byte_is_refused() -> None:
    content = zipped({"a.py_b.py": "1"}).replace(b"a.py_b.py", b"a.py\0b.py")
    with pytest.raises(BlobMalformed, match=r"the name 'a\.py'"):
        read_code(content)


def test_links_and_devices_are_refused() -> None:
    for mode in (LINK, 0o020666, 0o010666):
        with pytest.raises(BlobMalformed, match=r"'a\.py' in the archive is a link or a device"):
            read_code(zipped({"a.py": "/etc/passwd"}, mode))


@pytest.mark.parametrize(
    "names", [("a.py", "A.py"), ("a", "a/b.py"), ("a/b", "A/B/c.py"), ("a", "a/")]
)
def test_files_that_meet_in_one_place_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(BlobMalformed, match="the same name"):
        read_code(zipped(dict.fromkeys(names, "")))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_file_that_is_there_twice_is_refused() -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.py", "print('shown')")
        archive.writestr("a.py", "print('run')")
    with pytest.raises(BlobMalformed, match="the same name"):
        read_code(content.getvalue())


def test_a_zip_bomb_is_refused_before_it_is_unpacked() -> None:
    with pytest.raises(BlobMalformed, match=r"have 70000000 bytes, at most 67108864"):
        read_code(zipped({f"{number}.py": bytes(35_000_000) for number in range(2)}))


def test_a_bomb_that_lies_about_its_size_gives_no_more_than_it_states() -> None:
    honest = zipped({"a.py": bytes(1_000_000)})
    lying = honest.replace((1_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    with pytest.raises(BlobMalformed, match="damaged"):
        read_code(lying).read("a.py")


def test_too_many_files_are_refused() -> None:
    with pytest.raises(BlobMalformed, match=f"at most {MAX_FILES}"):
        read_code(zipped({f"{number}.py": "" for number in range(MAX_FILES + 1)}))


def test_a_directory_of_millions_is_refused_before_it_is_parsed() -> None:
    content = bytearray(zipped({"a.py": ""}))
    content[-10:-6] = (1 << 30).to_bytes(4, "little")
    with pytest.raises(BlobMalformed, match="more than 2000 files"):
        read_code(bytes(content))


def test_other_compressions_and_encryption_are_refused() -> None:
    with pytest.raises(BlobMalformed, match="neither stored nor deflated"):
        read_code(zipped({"a.py": "1"}, method=zipfile.ZIP_LZMA))
    content = bytearray(zipped({"a.py": "1"}))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(BlobMalformed, match="encrypted"):
        read_code(bytes(content))


def test_an_archive_with_a_comment_or_no_files_is_refused() -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a.py", "1")
        archive.comment = zipped({"b.py": "2"})
    with pytest.raises(BlobMalformed, match="before it"):
        read_code(content.getvalue())
    with pytest.raises(BlobMalformed, match="has a comment"):
        read_code(content.getvalue()[:-1])
    with pytest.raises(BlobMalformed, match="no files"):
        read_code(zipped({}))
    with pytest.raises(BlobMalformed, match="no files"):
        read_code(zipped({"a/": ""}))


def test_a_wheel_without_platforms_is_refused() -> None:
    for tags in ([], ["py3-none"], ["py3-none-any; rm"], ["py3-none-any"] * 101):
        with pytest.raises(BlobMalformed, match="for which platforms"):
            read_code(wheel(*tags))
    with pytest.raises(BlobMalformed, match="2 WHEEL files"):
        read_code(zipped({"a.dist-info/WHEEL": "Tag: py3-none-any", "b.dist-info/WHEEL": ""}))


@pytest.mark.parametrize(
    "content", [b"", b"  \n", b"\xff\xfe", b"x = 1\0", b"PK\x03\x04", b"PK\x03\x04" * 99]
)
def test_what_is_no_code_is_refused(content: bytes) -> None:
    with pytest.raises(BlobMalformed):
        read_code(content)


def test_too_long_a_blob_is_refused() -> None:
    with pytest.raises(BlobMalformed, match=f"at most {MAX_CODE_BYTES}"):
        read_code(b"#" * (MAX_CODE_BYTES + 1))


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_changed_byte_is_noticed_or_harmless(at: int, change: int) -> None:
    content = bytearray(zipped({"a.py": "x = 1\n" * 20, "b/c.py": "pass"}))
    content[at % len(content)] ^= change
    try:
        code = read_code(bytes(content))
        assert isinstance(code, Code)
        assert all(len(text) == code.files[name] for name, text in code.contents())
    except BlobMalformed as refusal:
        assert str(refusal).isprintable()
