"""`ganchor samples` and `ganchor weights`: pictures and weights out of a task, for people and for PyTorch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commanding import MEMBERS, STRANGER, Ganchor, finished_task
from PIL import Image
from safetensors.numpy import load_file
from test_evaluate_command import CLASSIFIER_TOML, FLOW_TOML, GAN, gan_manifest, model_file, refused

from chain.accounts import address_of
from chain.devnet import devnet_in_thread
from fl_node.blobs.global_state import model_of
from fl_node.blobs.model import load_model
from fl_node.blobs.store import open_store
from fl_node.cli.workspace import Workspace
from fl_node.learning.task import derive_genesis


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A finished task of two rounds whose models are those of a very small GAN."""
    place = Workspace(tmp_path_factory.mktemp("gan") / "workspace")
    place.create()
    funded = [address_of(signer) for signer in (*MEMBERS, STRANGER)]
    with devnet_in_thread(place.database, fund=funded) as url:
        finished_task(url, place, derive_genesis(gan_manifest()), learner=GAN)
    return place


def final_of(ganchor: Ganchor, place: Workspace) -> tuple[str, dict[str, Any]]:
    """The final model's digest, and its arrays."""
    said = json.loads(ganchor("status", "--workspace", place.folder, "--json").out)
    digest = said["parent_digest"]
    state = load_model(open_store(place.store), bytes.fromhex(digest), 1 << 30).arrays
    return digest, model_of(state)


class TestSamples:
    def test_the_final_model_draws_a_grid_of_64(
        self, ganchor: Ganchor, place: Workspace, tmp_path: Path
    ) -> None:
        outcome = ganchor("samples", "--workspace", place.folder)
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.split() == ["samples/round-002.png"]
        with Image.open(tmp_path / "samples/round-002.png") as picture:
            assert (picture.mode, picture.size) == ("L", (8 * 34 - 2, 8 * 34 - 2))

    def test_rounds_from_the_same_noise(
        self, ganchor: Ganchor, place: Workspace, tmp_path: Path
    ) -> None:
        words = ["samples", "--workspace", place.folder, "--rounds", "0,2", "--json"]
        first = [json.loads(line) for line in ganchor(*words).out.splitlines()]
        again = ganchor(*words, "--out", "again")
        assert again.code == 0
        assert [one["round"] for one in first] == [0, 2]
        names = ("round-000.png", "round-002.png")
        old, new = (
            [(tmp_path / at / name).read_bytes() for name in names] for at in ("samples", "again")
        )
        assert old == new and old[0] != old[1]
        assert first[1]["digest"] == final_of(ganchor, place)[0]

    def test_a_model_in_a_file(self, ganchor: Ganchor, tmp_path: Path) -> None:
        outcome = ganchor("samples", *model_file(tmp_path))
        assert outcome.out.split() == ["samples/model.safetensors.png"]

    def test_a_conditional_flow_draws_a_column_for_each_class(
        self, ganchor: Ganchor, tmp_path: Path
    ) -> None:
        outcome = ganchor("samples", *model_file(tmp_path, FLOW_TOML))
        assert (outcome.code, outcome.err) == (0, "")
        with Image.open(tmp_path / "samples/model.safetensors.png") as picture:
            assert picture.size == (2 * 34 - 2, 8 * 34 - 2)

    def test_a_classifier_draws_nothing(self, ganchor: Ganchor, tmp_path: Path) -> None:
        outcome = ganchor("samples", *model_file(tmp_path, CLASSIFIER_TOML))
        refused(outcome, "a classifier draws no pictures")
        assert not (tmp_path / "samples").exists()


class TestWeights:
    @pytest.mark.parametrize("name", ["model.safetensors", "model.pt"])
    def test_the_file_holds_the_final_model_and_the_printed_lines_load_it(
        self, ganchor: Ganchor, place: Workspace, tmp_path: Path, name: str
    ) -> None:
        outcome = ganchor("weights", "--workspace", place.folder, "--out", name, "--json")
        assert outcome.code == 0, outcome.err
        said = json.loads(outcome.out)
        digest, arrays = final_of(ganchor, place)
        assert (said["digest"], said["file"], said["round"]) == (digest, name, 2)
        read: dict[str, Any] = (
            torch.load(name, weights_only=True) if name.endswith(".pt") else load_file(name)
        )
        assert read.keys() == arrays.keys()
        assert all(np.array_equal(np.asarray(read[key]), arrays[key]) for key in arrays)
        variables: dict[str, Any] = {}
        exec("\n".join(said["python"]), variables)
        assert variables["pictures"].shape == (64, 1, 32, 32)
        generator = variables["model"]["generator_ema"].state_dict()
        assert all(
            np.array_equal(generator[key].numpy(), arrays[f"generator_ema.{key}"])
            for key in generator
        )
        shown = ganchor("weights", "--workspace", place.folder, "--out", name).out
        assert "\n".join(said["python"]) in shown
        assert f"wrote {name}: round 2, digest {digest}" in shown

    def test_a_flow_too(self, ganchor: Ganchor, tmp_path: Path) -> None:
        outcome = ganchor("weights", *model_file(tmp_path, FLOW_TOML), "--out", "out.pt", "--json")
        assert outcome.code == 0, outcome.err
        variables: dict[str, Any] = {}
        exec("\n".join(json.loads(outcome.out)["python"]), variables)
        assert variables["pictures"].shape == (64, 1, 32, 32)

    def test_a_classifier_too(self, ganchor: Ganchor, tmp_path: Path) -> None:
        outcome = ganchor(
            "weights", *model_file(tmp_path, CLASSIFIER_TOML), "--out", "out.pt", "--json"
        )
        variables: dict[str, Any] = {}
        exec("\n".join(json.loads(outcome.out)["python"]), variables)
        assert variables["logits"].shape == (8, 2)

    def test_an_ending_that_says_nothing_is_refused(self, ganchor: Ganchor, tmp_path: Path) -> None:
        refused(
            ganchor("weights", *model_file(tmp_path), "--out", "model.bin"), ".safetensors", ".pt"
        )

    def test_several_rounds_do_not_go_into_one_file(
        self, ganchor: Ganchor, place: Workspace
    ) -> None:
        refused(ganchor("weights", "--workspace", place.folder, "--round", "all"), "names several")
        assert not Path("model.safetensors").exists()

    def test_the_server_state_stays_out(self, ganchor: Ganchor, tmp_path: Path) -> None:
        toml = CLASSIFIER_TOML + '[strategy]\npreset = "fedadam"\n'
        assert ganchor("weights", *model_file(tmp_path, toml)).code == 0
        assert {key.partition(".")[0] for key in load_file("model.safetensors")} == {"base", "head"}
