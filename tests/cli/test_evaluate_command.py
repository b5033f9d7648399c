"""`ganchor evaluate`: real models of a finished task and in files, measured on small pictures."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commanding import MEMBERS, STRANGER, Ganchor, Outcome, finished_task
from PIL import Image

from chain.accounts import address_of
from chain.devnet import devnet_in_thread
from fl_node.blobs.digest import digest_of
from fl_node.blobs.model import encode_model
from fl_node.cli.subjects import chosen_rounds
from fl_node.cli.workspace import Workspace
from fl_node.errors import Misuse
from fl_node.learning import extractor as extractor_module
from fl_node.learning.task import derive_genesis
from fl_node.manifest.manifest import Manifest, build_manifest

GAN = {
    "latent": 4,
    "generator_width": 4,
    "discriminator_width": 4,
    "extractor": {"width": 4},
}
TOML = f"""\
name = "test"
seed = 5
members = ["{address_of(MEMBERS[0])}", "{address_of(MEMBERS[1])}"]
rounds = {{ count = 2 }}
"""
GAN_TOML = TOML + (
    "[learner]\nlatent = 4\ngenerator_width = 4\ndiscriminator_width = 4\n"
    "extractor = { width = 4 }\n"
)
CLASSIFIER_TOML = TOML + '[learner]\nkind = "classifier"\nwidth = 4\nclasses = 2\n'


FLOW_TOML = TOML + '[learner]\nkind = "flow"\nwidth = 4\nclasses = 2\nsampling_steps = 1\n'


def gan_manifest(**learner: Any) -> Manifest:
    members = [address_of(signer) for signer in MEMBERS]
    values = {"name": "test", "seed": 5, "members": members, "rounds": {"count": 2}}
    return build_manifest({**values, "learner": {**GAN, **learner}})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A finished task whose models are those of a GAN, if one that has learnt nothing."""
    place = Workspace(tmp_path_factory.mktemp("gan") / "workspace")
    place.create()
    funded = [address_of(signer) for signer in (*MEMBERS, STRANGER)]
    with devnet_in_thread(place.database, fund=funded) as url:
        genesis = derive_genesis(gan_manifest())
        assert finished_task(url, place, genesis, learner=GAN) == 1
    return place


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Bright and dark noise, as the options that name it: 40 pictures to train on and 24 to test."""
    random = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("pictures")
    for split, count in (("train", 20), ("test", 12)):
        for name, level in (("bright", 180), ("dark", 20)):
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(level, level + 60, (32, 32), np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{index}.png")
    return ["--data", f"folder:{folder / 'train'}", "--test", f"folder:{folder / 'test'}"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extractors of all tests that ask for the same one, which is trained once."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def cache(kept: Path) -> Path:
    return kept


@pytest.fixture
def evaluate(
    ganchor: Ganchor, pictures: list[str], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> Any:
    """The command on those pictures, with an extractor that is quick to train."""
    monkeypatch.setattr(extractor_module, "EPOCHS", 0)
    monkeypatch.setattr(extractor_module, "LEAST_STEPS", 40)
    common = [*pictures, "--cache", cache, "--device", "cpu", "--samples", 24]

    def run(*words: object) -> Outcome:
        return ganchor("evaluate", *common, *words)

    return run


def refused(outcome: Outcome, *words: str) -> None:
    assert outcome.code == 2, outcome.out
    assert len(outcome.err.strip().splitlines()) == 1
    for word in words:
        assert word in outcome.err


def written(folder: Path, text: str) -> Path:
    (folder / "manifest.toml").write_text(text)
    return folder / "manifest.toml"


def model_file(folder: Path, text: str = GAN_TOML) -> list[object]:
    """A model at its genesis, as the options that name it."""
    from fl_node.manifest.manifest import read_manifest

    path = written(folder, text)
    blob = encode_model(derive_genesis(read_manifest(path)))
    (folder / "model.safetensors").write_bytes(blob)
    return ["--manifest", path, "--model", folder / "model.safetensors"]


class TestATask:
    @pytest.mark.slow
    def test_every_round_is_measured_and_shown(
        self, evaluate: Any, place: Workspace, tmp_path: Path
    ) -> None:
        out = tmp_path / "made" / "out"
        outcome = evaluate("--workspace", place.folder, "--rounds", "all", "--out", out, "--json")
        assert outcome.code == 0, outcome.err
        found = json.loads(outcome.out)
        assert json.loads((out / "evaluation.json").read_text()) == found
        assert [one["round"] for one in found["models"]] == [0, 1, 2]
        assert len({one["digest"] for one in found["models"]}) == 3
        assert {path.name for path in out.iterdir()} == {
            "evaluation.json",
            "curves.png",
            *(f"samples-{round}.png" for round in range(3)),
        }
        assert found["recorded"] == [
            {"round": 1, "training": 1.0, "held_out": 2.0},
            {"round": 2, "training": 0.5, "held_out": 1.0},
        ]
        assert (found["samples"], found["test_pictures"], found["seed"]) == (24, 24, 0)
        page = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()
        assert not [key for key in {**found, **found["models"][0]} if f"`{key}`" not in page]

    def test_the_floor_is_below_what_noise_gets(self, evaluate: Any, place: Workspace) -> None:
        found = json.loads(evaluate("--workspace", place.folder, "--json").out)
        (model,) = found["models"]
        assert model["round"] == 2, "the final one, where none is asked for"
        assert found["extractor_accuracy"] == 1.0
        assert found["floor"]["coverage"]["covered"] == 2
        assert found["floor"]["kid"] < model["kid"]
        assert found["floor"]["fid"] < model["fid"]
        assert found["against"] == "test" and model["fid_error"] > 0
        assert sum(model["coverage"]["shares"]) == pytest.approx(1)

    def test_people_get_a_table(self, evaluate: Any, place: Workspace) -> None:
        outcome = evaluate("--workspace", place.folder)
        assert outcome.code == 0
        for shown in ("KID", "FID", "classes covered", "real pictures", "2 of 2", "±"):
            assert shown in outcome.out
        assert "extractor_digest: " in outcome.out

    def test_samples_are_compared_with_the_training_split_on_request(
        self, evaluate: Any, place: Workspace
    ) -> None:
        words = ["--workspace", place.folder, "--against", "train"]
        found = json.loads(evaluate(*words, "--json").out)
        with_test = json.loads(evaluate(*words[:2], "--json").out)
        (model,), (other,) = found["models"], with_test["models"]
        assert model["fid"] != other["fid"] and model["kid"] != other["kid"]
        assert (found["against"], found["floor"], found["samples"]) == ("train", None, 24)
        assert found["extractor_accuracy"] == with_test["extractor_accuracy"]
        shown = evaluate(*words).out
        assert "Quality on training pictures" in shown and "FID" in shown
        assert "real pictures" not in shown

    def test_the_manifests_extractor_needs_no_classes_and_covers_none(
        self, evaluate: Any, place: Workspace
    ) -> None:
        outcome = evaluate("--workspace", place.folder, "--extractor", "manifest", "--json")
        found = json.loads(outcome.out)
        assert found["floor"]["coverage"] is None
        assert found["extractor_accuracy"] is None

    def test_rounds_that_are_not_final_are_refused(self, evaluate: Any, place: Workspace) -> None:
        outcome = evaluate("--workspace", place.folder, "--rounds", "1,3")
        refused(outcome, "round 3 is not final; the last final round is 2")


class TestFiles:
    def test_a_file_is_measured_as_the_same_model_of_a_task(
        self, evaluate: Any, place: Workspace, tmp_path: Path
    ) -> None:
        of_task = json.loads(evaluate("--workspace", place.folder, "--rounds", "0", "--json").out)
        of_file = json.loads(evaluate(*model_file(tmp_path), "--json").out)
        (one,), (other,) = of_task["models"], of_file["models"]
        assert other["name"] == "model.safetensors" and other["round"] is None
        assert one == {**other, "name": "0", "round": 0}
        assert of_file["recorded"] == []

    def test_a_file_of_a_store_is_called_by_the_beginning_of_its_digest(
        self, evaluate: Any, tmp_path: Path
    ) -> None:
        _, manifest, _, path = model_file(tmp_path)
        digest = digest_of(Path(str(path)).read_bytes()).hex()
        stored = Path(str(path)).rename(tmp_path / digest)
        out = tmp_path / "out"
        evaluate("--manifest", manifest, "--model", stored, "--out", out)
        assert {path.name for path in out.iterdir()} == {
            "evaluation.json",
            f"samples-{digest[:8]}.png",
        }

    def test_a_classifier_is_asked_for_the_classes(self, evaluate: Any, tmp_path: Path) -> None:
        outcome = evaluate(*model_file(tmp_path, CLASSIFIER_TOML), "--json")
        assert outcome.code == 0, outcome.err
        found = json.loads(outcome.out)
        (model,) = found["models"]
        assert 0 <= model["accuracy"] <= 1 and model["loss"] > 0
        assert found["floor"] is None and "extractor" not in found
        assert "accuracy" in evaluate(*model_file(tmp_path, CLASSIFIER_TOML)).out

    def test_a_classifier_is_not_measured_on_what_it_was_trained_on(
        self, evaluate: Any, tmp_path: Path
    ) -> None:
        outcome = evaluate(*model_file(tmp_path, CLASSIFIER_TOML), "--against", "train")
        refused(outcome, "only samples are compared with training pictures")

    def test_a_manifest_without_models_is_refused(self, evaluate: Any, tmp_path: Path) -> None:
        path = written(tmp_path, GAN_TOML)
        refused(evaluate("--manifest", path), "--manifest and --model go together")
        refused(evaluate("--model", path), "--manifest and --model go together")

    def test_what_is_no_model_is_refused(self, evaluate: Any, tmp_path: Path) -> None:
        model = tmp_path / "junk"
        model.write_bytes(b"junk")
        outcome = evaluate("--manifest", written(tmp_path, GAN_TOML), "--model", model)
        refused(outcome, str(model))
        missing = evaluate("--manifest", tmp_path / "manifest.toml", "--model", tmp_path / "none")
        refused(missing, "No such file")

    def test_a_model_beyond_the_manifests_limit_is_not_read(
        self, evaluate: Any, tmp_path: Path
    ) -> None:
        options = model_file(tmp_path)
        written(tmp_path, GAN_TOML + "[limits]\nmodel_bytes = 10\n")
        refused(evaluate(*options), "at most 10 are allowed")

    def test_another_manifests_model_is_refused(self, evaluate: Any, tmp_path: Path) -> None:
        options = model_file(tmp_path)
        written(tmp_path, GAN_TOML.replace("generator_width = 4", "generator_width = 8"))
        refused(evaluate(*options), "expected float32")

    def test_a_model_without_its_generator_is_refused(self, evaluate: Any, tmp_path: Path) -> None:
        shared = GAN_TOML + '[strategy]\nshare = ["discriminator*"]\n'
        refused(evaluate(*model_file(tmp_path, shared)), "has no generator")


class TestAFlow:
    def test_it_is_measured_with_an_extractor_of_the_default_shape(
        self, evaluate: Any, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        outcome = evaluate(*model_file(tmp_path, FLOW_TOML), "--out", out, "--json")
        assert outcome.code == 0, outcome.err
        found = json.loads(outcome.out)
        assert found["extractor"] == "trained" and found["extractor_accuracy"] > 0.5
        (measured,) = found["models"]
        assert measured["kid"] > found["floor"]["kid"]
        assert (out / "samples-model.safetensors.png").exists()

    def test_its_manifest_has_no_extractor(self, evaluate: Any, tmp_path: Path) -> None:
        outcome = evaluate(*model_file(tmp_path, FLOW_TOML), "--extractor", "manifest")
        refused(outcome, "a flow compares no pictures, so it has no extractor")


class TestTheExtractor:
    @pytest.fixture
    def cache(self, tmp_path: Path) -> Path:
        """Empty, since it is the training that is looked at."""
        return tmp_path / "cache"

    def test_it_is_trained_once_and_kept(self, evaluate: Any, tmp_path: Path) -> None:
        options = [*model_file(tmp_path), "--json"]
        first = json.loads(evaluate(*options).out)
        (kept,) = (tmp_path / "cache").iterdir()
        assert digest_of(kept.read_bytes()).hex() == first["extractor_digest"]
        before = kept.stat().st_mtime_ns
        assert json.loads(evaluate(*options).out) == first
        assert kept.stat().st_mtime_ns == before
        kept.write_bytes(kept.read_bytes()[:-1])
        assert json.loads(evaluate(*options).out) == first, "a damaged one is made anew"

    def test_another_seed_trains_another(self, evaluate: Any, tmp_path: Path) -> None:
        options = [*model_file(tmp_path), "--json"]
        digests = {
            json.loads(evaluate(*options, "--seed", seed).out)["extractor_digest"]
            for seed in (0, 1)
        }
        assert len(digests) == 2

    def test_one_that_was_put_into_the_store_is_found_by_the_manifests_digest(
        self, evaluate: Any, ganchor: Ganchor, tmp_path: Path, pictures: list[str]
    ) -> None:
        options = model_file(tmp_path)
        trained = json.loads(evaluate(*options, "--json").out)
        place = ["--store", tmp_path / "store", "--cache", tmp_path / "cache"]
        put = ganchor("extractor", options[1], *pictures[:2], *place, "--device", "cpu")
        assert put.code == 0, put.err
        named = put.out.removeprefix("[learner]").strip()
        assert f'digest = "{trained["extractor_digest"]}"' in named
        written(tmp_path, GAN_TOML.replace("extractor = { width = 4 }", named))
        words = [*options, "--extractor", "manifest", "--json"]
        found = json.loads(evaluate(*words, *place[:2]).out)
        assert found["extractor_digest"] == trained["extractor_digest"]
        assert found["models"][0]["kid"] == trained["models"][0]["kid"]
        refused(evaluate(*words, "--store", tmp_path / "nowhere"), "nowhere")

    def test_a_classifier_needs_none(self, ganchor: Ganchor, tmp_path: Path) -> None:
        outcome = ganchor("extractor", written(tmp_path, CLASSIFIER_TOML), "--data", "digits")
        refused(outcome, "a classifier compares no pictures, so it has no extractor")

    def test_it_is_told_to_machines(
        self, ganchor: Ganchor, tmp_path: Path, pictures: list[str], evaluate: Any
    ) -> None:
        path = written(tmp_path, GAN_TOML)
        place = ["--store", tmp_path / "store", "--cache", tmp_path / "cache"]
        told = json.loads(ganchor("extractor", path, *pictures[:2], *place, "--json").out)
        assert {**told, "digest": ""} == {
            "digest": "",
            "network": "cnn",
            "width": 4,
            "classes": 2,
        }

    def test_pictures_without_classes_train_none(
        self, evaluate: Any, tmp_path: Path, pictures: list[str]
    ) -> None:
        flat = pictures[1] + "/dark"
        outcome = evaluate(*model_file(tmp_path), "--data", flat)
        refused(outcome, "no classes", "--extractor manifest")

    def test_inception_says_what_it_needs(
        self, evaluate: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "torch_fidelity", None)
        outcome = evaluate(*model_file(tmp_path), "--extractor", "inception")
        refused(outcome, "install ganchor[inception]")


def test_a_folder_has_no_test_split_of_its_own(
    ganchor: Ganchor, tmp_path: Path, pictures: list[str]
) -> None:
    outcome = ganchor("evaluate", *model_file(tmp_path), *pictures[:2])
    refused(outcome, "no test split", "--test")


def test_too_few_test_pictures_are_refused(
    evaluate: Any, tmp_path: Path, pictures: list[str]
) -> None:
    outcome = evaluate(*model_file(tmp_path), "--test", pictures[3] + "/dark")
    refused(outcome, "24 and 12 samples; at least 20")


@pytest.mark.parametrize(
    ("text", "last", "expected"),
    [
        ("final", 3, [3]),
        ("final", 0, [0]),
        ("all", 2, [0, 1, 2]),
        ("3,1, 1", 3, [1, 3]),
        ("0", 0, [0]),
    ],
)
def test_rounds_are_read(text: str, last: int, expected: list[int]) -> None:
    assert chosen_rounds(text, last) == expected


@pytest.mark.parametrize("text", ["", "last", "1,", "-1", "1-3", "²"])
def test_what_is_no_round_is_refused(text: str) -> None:
    with pytest.raises(Misuse, match="allowed: final, all, or numbers"):
        chosen_rounds(text, 3)


def test_what_the_members_trained_on_is_not_guessed(ganchor: Ganchor, tmp_path: Path) -> None:
    outcome = ganchor("evaluate", *model_file(tmp_path))
    assert outcome.code == 2
    assert "Missing option '--data'" in outcome.err


def test_grey_pictures_do_not_measure_models_of_colour(evaluate: Any, tmp_path: Path) -> None:
    outcome = evaluate(*model_file(tmp_path, GAN_TOML + "[data]\nchannels = 3\n"))
    refused(outcome, "are all grey, but the task's have colours")
