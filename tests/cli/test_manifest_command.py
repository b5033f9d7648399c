"""`ganchor manifest new` and `check`: a manifest that works, from members and pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commanding import MEMBERS, Ganchor, Live, key_of
from PIL import Image
from test_bad_input import assert_refused

from chain.accounts import address_of, create_keystore
from fl_node.blobs.digest import digest_of
from fl_node.manifest.manifest import read_manifest

FIRST, SECOND = (address_of(signer) for signer in MEMBERS)
BOTH = ["--member", SECOND, "--member", FIRST]


def picture(path: Path, mode: str = "L", size: tuple[int, int] = (40, 50)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, 200 if mode == "L" else (200, 30, 30)).save(path)


def test_members_are_sorted_and_the_manifest_opens_a_task(
    ganchor: Ganchor, live: Live, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ganchor("manifest", "new", *BOTH, "--rounds", 3)
    assert (made.code, made.err) == (0, "")
    assert "wrote manifest.toml: 2 members; pictures: grey, 32x32, 10 classes" in made.out
    manifest = read_manifest(tmp_path / "manifest.toml")
    assert manifest.addresses == (FIRST, SECOND)
    assert (manifest.name, manifest.rounds.count) == ("digits", 3)
    monkeypatch.setenv("GANCHOR_PRIVATE_KEY", key_of(MEMBERS[0]))
    assert ganchor("task", "open", "manifest.toml", *live.options).code == 0


def test_a_member_can_be_a_keystore(ganchor: Ganchor, tmp_path: Path) -> None:
    address = create_keystore(tmp_path / "alice.json", "secret", scrypt_cost=2)
    outcome = ganchor("manifest", "new", "--member", "alice.json", "--json")
    assert json.loads(outcome.out)["members"] == [address]
    assert read_manifest(tmp_path / "manifest.toml").rounds.min_updates == 1


def test_own_pictures_give_channels_size_and_classes(ganchor: Ganchor, tmp_path: Path) -> None:
    for name, mode in (("cats", "RGB"), ("dogs", "L")):
        picture(tmp_path / "pets" / name / "one.png", mode, (70, 90))
    (tmp_path / "pets" / "cats" / "notes.txt").write_text("not a picture")
    (tmp_path / "pets" / "cats" / "drawing.eps").write_text("%!PS-Adobe-3.0 EPSF-3.0")
    words = ["manifest", "new", *BOTH, "--data", "folder:pets/", "--learner", "classifier"]
    said = json.loads(ganchor(*words, "--json").out)
    assert said["data"] == {"channels": 3, "size": 64, "classes": 2, "count": 2}
    manifest = read_manifest(tmp_path / "manifest.toml")
    assert (manifest.name, manifest.data.channels, manifest.data.size) == ("pets", 3, 64)
    assert (manifest.learner.kind, manifest.learner.model_dump()["classes"]) == ("classifier", 2)


@pytest.mark.parametrize("learner", ["gan", "flow"])
def test_what_draws_pictures_needs_no_classes(
    ganchor: Ganchor, tmp_path: Path, learner: str
) -> None:
    picture(tmp_path / "scans" / "one.png")
    words = ["manifest", "new", *BOTH, "--data", "folder:scans", "--learner", learner]
    assert ganchor(*words).code == 0
    manifest = read_manifest(tmp_path / "manifest.toml")
    assert (manifest.learner.kind, manifest.learner.model_dump()["classes"]) == (learner, 0)


def test_small_grey_pictures_that_lie_flat(ganchor: Ganchor, tmp_path: Path) -> None:
    picture(tmp_path / "scans" / "one.png")
    said = json.loads(ganchor("manifest", "new", *BOTH, "--data", "folder:scans", "--json").out)
    assert said["data"] == {"channels": 1, "size": 32, "classes": None, "count": 1}
    words = ["manifest", "new", *BOTH, "--data", "folder:scans", "--learner", "classifier"]
    assert_refused(ganchor(*words, "--out", "other.toml"), "each in its own sub-folder")


@pytest.mark.parametrize("name", ['quotes " and \\', "café 🐈", "tab\tline\nend"])
def test_any_name_survives(ganchor: Ganchor, tmp_path: Path, name: str) -> None:
    assert ganchor("manifest", "new", *BOTH, "--name", name).code == 0
    assert read_manifest(tmp_path / "manifest.toml").name == name


def test_an_existing_file_stays(ganchor: Ganchor, tmp_path: Path) -> None:
    (tmp_path / "manifest.toml").write_text("mine")
    assert_refused(ganchor("manifest", "new", *BOTH), "manifest.toml already exists")
    assert (tmp_path / "manifest.toml").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--member", "alice.json"], "or give an existing keystore file"),
        (["--member", "0x12"], "40 hex digits"),
        ([*BOTH, "--member", FIRST], f"{FIRST} is given twice"),
        ([*BOTH, "--data", "imagenet"], "allowed: digits, mnist"),
        ([*BOTH, "--data", "folder:nowhere"], "nowhere is not a folder"),
        ([*BOTH, "--data", "folder:."], "holds no pictures"),
        ([*BOTH, "--name", "x" * 201], "at most 200"),
    ],
)
def test_what_gives_no_manifest_writes_none(
    ganchor: Ganchor, tmp_path: Path, words: list[str], reason: str
) -> None:
    assert_refused(ganchor("manifest", "new", *words), reason)
    assert not (tmp_path / "manifest.toml").exists()


def test_check_says_what_a_task_would_be(ganchor: Ganchor, tmp_path: Path) -> None:
    ganchor("manifest", "new", *BOTH)
    said = json.loads(ganchor("manifest", "check", "manifest.toml", "--json").out)
    digest = digest_of(read_manifest(tmp_path / "manifest.toml").to_bytes()).hex()
    assert said == {
        "name": "digits",
        "members": 2,
        "rounds": 10,
        "learner": "gan",
        "manifest_digest": digest,
    }
    assert digest in ganchor("manifest", "check", "manifest.toml").out


def test_check_names_the_field_that_is_wrong(ganchor: Ganchor, tmp_path: Path) -> None:
    ganchor("manifest", "new", *BOTH)
    path = tmp_path / "manifest.toml"
    path.write_text(path.read_text().replace("size = 32", "size = 33"))
    assert_refused(ganchor("manifest", "check", path), "data.size")


def test_through_uv_the_next_command_is_one_that_works(
    ganchor: Ganchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UV", raising=False)
    plain = ganchor("manifest", "new", *BOTH).out
    assert "next: ganchor task open manifest.toml --keystore FILE" in plain
    monkeypatch.setenv("UV", "/somewhere/uv")
    assert "next: uv run ganchor task" in ganchor("manifest", "new", *BOTH, "--out", "b").out
