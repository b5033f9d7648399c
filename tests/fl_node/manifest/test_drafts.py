"""A manifest that names code and a first model by paths: what is packed, what is only named, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doubles import MEMBERS, small_manifest
from safetensors.numpy import save_file

from fl_node.arrays import Arrays
from fl_node.blobs.model import decode_model, encode_model
from fl_node.code.packing import pack
from fl_node.errors import ManifestInvalid
from fl_node.manifest.code_learners import FlowerLearner, ModuleLearner
from fl_node.manifest.manifest import build_manifest
from fl_node.manifest.packing import TO_BE_MADE, Draft, draft_of, read_draft
from fl_node.strategy.roles import Roles

CODE = "raise RuntimeError('this must never be imported')\n"
MODEL = {"w": np.arange(3, dtype=np.float32), "count": np.array(7)}
GIVEN: dict[str, Any] = {
    "name": "x",
    "seed": 1,
    "members": list(MEMBERS),
    "rounds": {"count": 1},
}
MODULE = {"kind": "module", "code": "chest.py", "entry": "chest:Chest"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "chest.py").write_text(CODE)
    return tmp_path


def draft(folder: Path, learner: dict[str, Any], **changes: Any) -> Draft:
    return draft_of({**GIVEN, "learner": {**learner, **changes}}, folder)


def flower_app(folder: Path, project: str = "") -> Path:
    app = folder / "quick"
    (app / "quick").mkdir(parents=True)
    (app / "quick" / "client_app.py").write_text(CODE)
    if project:
        (app / "pyproject.toml").write_text(project)
    return app


def module_of(found: Draft) -> ModuleLearner:
    assert isinstance(found.manifest.learner, ModuleLearner)
    return found.manifest.learner


def test_a_path_becomes_the_digest_of_what_lies_there(folder: Path) -> None:
    found = draft(folder, MODULE)
    assert module_of(found).code == hashlib.sha256(CODE.encode()).hexdigest()
    assert (module_of(found).genesis, found.maker) == (TO_BE_MADE, "")
    assert found.blobs == (CODE.encode(),)


def test_a_model_that_code_makes_is_put_in_later(folder: Path) -> None:
    made = draft(folder, MODULE, genesis="chest:pretrained")
    assert made.maker == "chest:pretrained"
    done = made.with_model(MODEL)
    assert done.maker is None
    assert module_of(done).genesis == hashlib.sha256(encode_model(MODEL)).hexdigest()
    assert done.blobs == (CODE.encode(), encode_model(MODEL))
    assert done.manifest.to_bytes() != made.manifest.to_bytes()


NORM = {"1.running_mean": np.zeros(2, np.float32), "1.running_var": np.ones(2, np.float32)}


def test_what_batch_norm_measures_becomes_statistics_unless_the_manifest_says_more(
    folder: Path,
) -> None:
    found = draft(folder, MODULE).with_model({**MODEL, **NORM}).manifest
    expected = Roles(statistics=("*running_mean", "*running_var"), at_least_zero=("*running_var",))
    assert found.learner.tensor_roles == found.roles == expected
    assert build_manifest(found.model_dump(mode="json")) == found
    own = Roles(statistics=("*running_mean",))
    said = draft(folder, MODULE, roles={"statistics": ["*running_mean"]})
    assert said.with_model({**MODEL, **NORM}).manifest.roles == own
    assert draft(folder, MODULE).with_model(MODEL).manifest.roles == Roles()


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_a_safetensors_file_is_stored_anew_whatever_wrote_it(
    folder: Path, metadata: dict[str, str] | None
) -> None:
    save_file(MODEL, folder / "base.safetensors", metadata)
    found = draft(folder, MODULE, genesis="base.safetensors")
    assert found.maker is None and found.model == encode_model(MODEL)
    assert module_of(found).genesis == hashlib.sha256(encode_model(MODEL)).hexdigest()
    stored: Arrays = decode_model(found.model)
    assert sorted(stored) == ["count", "w"]


def test_digests_stay_as_they_are(folder: Path) -> None:
    found = draft(folder, MODULE, code="ab" * 32, genesis="cd" * 32)
    assert (module_of(found).code, module_of(found).genesis) == ("ab" * 32, "cd" * 32)
    assert (found.code, found.blobs, found.maker) == (None, (), None)


def test_paths_are_relative_to_the_manifest(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = ", ".join(f'"{member}"' for member in MEMBERS)
    (folder / "task.toml").write_text(
        f'name = "x"\nseed = 1\nmembers = [{members}]\nrounds.count = 1\n'
        '[learner]\nkind = "module"\ncode = "chest.py"\nentry = "chest:Chest"\n'
    )
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert read_draft(folder / "task.toml").manifest == draft(folder, MODULE).manifest


def test_a_folder_is_packed_as_a_whole(folder: Path) -> None:
    (folder / "lab" / "nets").mkdir(parents=True)
    (folder / "lab" / "nets" / "__init__.py").write_text(CODE)
    found = draft(folder, MODULE, code="lab", entry="nets:Chest")
    assert found.code is not None and found.code.blob == pack(folder / "lab")


class TestFlower:
    PROJECT = '[tool.flwr.app.components]\nclientapp = "quick.client_app:app"\n'
    APP: dict[str, Any] = {"kind": "flower", "code": "quick", "genesis": "quick.task:Net"}  # noqa: RUF012

    def test_the_app_says_what_it_is_entered_by(self, folder: Path) -> None:
        flower_app(folder, self.PROJECT)
        found = draft(folder, self.APP)
        assert isinstance(found.manifest.learner, FlowerLearner)
        assert found.manifest.learner.entry == "quick.client_app:app"
        assert found.maker == "quick.task:Net"

    def test_an_entry_in_the_manifest_counts_more(self, folder: Path) -> None:
        flower_app(folder, self.PROJECT)
        found = draft(folder, self.APP, entry="quick.client_app:other")
        assert isinstance(found.manifest.learner, FlowerLearner)
        assert found.manifest.learner.entry == "quick.client_app:other"

    @pytest.mark.parametrize("project", ["", "[tool.flwr.app]\n", "[[["])
    def test_an_app_that_names_no_client_app(self, folder: Path, project: str) -> None:
        flower_app(folder, project)
        with pytest.raises(ManifestInvalid, match=r"learner\.(entry|code): .*pyproject\.toml"):
            draft(folder, self.APP)

    def test_no_first_model(self, folder: Path) -> None:
        flower_app(folder, self.PROJECT)
        with pytest.raises(ManifestInvalid, match=r"learner\.genesis: .*such as app\.task:Net"):
            draft(folder, {"kind": "flower", "code": "quick"})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"code": "nowhere.py"}, "learner.code: .*nowhere.py: No such file"),
        ({"code": "notes.txt"}, "learner.code: .*expected a .py file, a wheel, or a folder"),
        ({"code": ""}, "learner.code: expected a sha256"),
        ({"code": 7}, "learner.code: expected a sha256"),
        ({"code": "ab" * 32}, "learner.genesis: code that is named by a digest is not run"),
        ({"code": "x" * 900 + ".py"}, "learner.code: "),
        ({"code": "x" * 2000}, "2000 characters"),
        ({"entry": "model:Chest"}, "learner.entry: chest.py has no module model; it has chest"),
        ({"entry": "chest.net:Chest"}, "learner.entry: chest.py has no module chest.net"),
        ({"entry": "chest"}, "learner.entry"),
        ({"code": "lab", "entry": "chest:Chest"}, "learner.entry: lab has no module chest; it has nets"),
        ({"genesis": "nowhere.safetensors"}, "learner.genesis: .*no safetensors file here, no digest"),
        ({"genesis": "chest.py"}, "learner.genesis: .*chest.py: not a safetensors file"),
        ({"genesis": "lab"}, "learner.genesis: .*lab: not a regular file"),
        ({"genesis": "chest:ema"}, "learner.genesis: chest:ema is a path and something else here"),
        ({"genesis": 3}, "learner.genesis: expected a sha256"),
        ({"knobs": {"x": 0.1}}, "learner.knobs"),
        ({"surprise": 1}, "learner.surprise: unknown field"),
    ],
)  # fmt: skip
def test_what_is_wrong_or_unclear_is_refused_in_one_line(
    folder: Path, change: dict[str, Any], said: str
) -> None:
    (folder / "lab").mkdir()
    (folder / "lab" / "nets.py").write_text(CODE)
    (folder / "notes.txt").write_text("x")
    (folder / "chest:ema").write_text("x")
    with pytest.raises(ManifestInvalid, match=said) as refused:
        draft(folder, MODULE, **change)
    assert "\n" not in str(refused.value)


def test_a_name_that_is_a_digest_and_a_path_is_unclear(folder: Path) -> None:
    name = "ab" * 32
    (folder / name).mkdir()
    (folder / name / "chest.py").write_text(CODE)
    with pytest.raises(ManifestInvalid, match=r"a digest and a path here: write \./abab"):
        draft(folder, MODULE, code=name)
    assert draft(folder, MODULE, code=f"./{name}").code is not None


@pytest.mark.parametrize("dtype", ["bool", "uint16", "int8", "complex64"])
def test_a_model_of_numbers_that_no_blob_holds_is_refused(folder: Path, dtype: str) -> None:
    save_file({"w": np.zeros(3, dtype)}, folder / "base.safetensors")
    with pytest.raises(ManifestInvalid, match=r"learner\.genesis: .*'w'"):
        draft(folder, MODULE, genesis="base.safetensors")


def test_a_model_beyond_the_manifests_limit_is_not_read(folder: Path) -> None:
    save_file({"w": np.zeros(1000, np.float32)}, folder / "base.safetensors")
    values = {
        **GIVEN,
        "limits": {"model_bytes": 1000},
        "learner": {**MODULE, "genesis": "base.safetensors"},
    }
    with pytest.raises(ManifestInvalid, match="at most 1000 are allowed"):
        draft_of(values, folder)


def test_a_learner_of_this_package_names_nothing(folder: Path) -> None:
    found = draft_of({**GIVEN, "learner": {"kind": "classifier"}}, folder)
    assert found == Draft(
        small_manifest(name="x", seed=1, learner="classifier", rounds={"count": 1})
    )
