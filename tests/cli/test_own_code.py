"""Tasks with code of one's own, from the command line: packed, allowed, run in child processes, audited."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from commanding import MEMBERS, Ganchor
from safetensors.numpy import save_file
from test_bad_input import assert_refused

from chain.accounts import address_of
from fl_node.blobs.store import open_store

CHEST = Path(__file__).with_name("chest.py")
CODE = sha256(CHEST.read_bytes()).hexdigest()
FIRST, SECOND = (address_of(signer) for signer in MEMBERS)
MANIFEST = f"""\
name = "lines"
seed = 5
members = ["{FIRST}", "{SECOND}"]

[learner]
kind = "module"
code = "chest.py"
entry = "chest:Chest"
knobs = {{ rate = 0.01 }}
batch = 4
metrics = ["error"]
requires = ["numpy"]

[strategy]
work = {{ steps = 2 }}

[rounds]
count = 2
"""


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    shutil.copy(CHEST, tmp_path / "chest.py")
    path = tmp_path / "lines.toml"
    path.write_text(MANIFEST)
    return path


def changed(manifest: Path, old: str, new: str) -> Path:
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new, 1))
    return manifest


class TestCheck:
    def test_it_packs_the_code_and_makes_the_first_model(
        self, ganchor: Ganchor, manifest: Path
    ) -> None:
        first, again = (
            json.loads(ganchor("manifest", "check", manifest, "--json").out) for _ in range(2)
        )
        assert (first["learner"], first["code_digest"]) == ("module", CODE)
        assert first == again

    @pytest.mark.parametrize(
        ("old", "new", "reasons"),
        [
            ("chest.py", "chst.py", ["learner.code", "chst.py: No such file"]),
            ("chest:Chest", "chest:Chst", ["chest:Chst", "no 'Chst'"]),
            ('requires = ["numpy"]', 'requires = ["nosuchthing>=1"]', ["nosuchthing>=1", "not installed"]),
            ("knobs = {", 'genesis = "chest:nothing"\nknobs = {', ["chest", "no 'nothing'"]),
            ("[strategy]", '[strategy]\nshare = ["wieght"]', ["strategy.share", "'wieght' matches no tensor"]),
            ("batch = 4", "batch = 4\nroles = { statistics = ['x'] }", ["roles.statistics", "'x' matches"]),
        ],
    )  # fmt: skip
    def test_what_does_not_go_together_is_said_in_one_line(
        self, ganchor: Ganchor, manifest: Path, old: str, new: str, reasons: list[str]
    ) -> None:
        assert_refused(ganchor("manifest", "check", changed(manifest, old, new)), *reasons)


class TestSimulate:
    def test_every_members_code_runs_in_a_process_of_its_own(
        self, ganchor: Ganchor, manifest: Path
    ) -> None:
        words = ["simulate", manifest, "--data", "0.1", "--data", "0.2", "--json"]
        once = ganchor(*words, "--store", "out")
        assert once.code == 0, once.err
        assert "somebody's code" not in once.out
        final = json.loads(once.out)["final_digest"]
        (model,) = Path("out").rglob(final)
        exported = ganchor(
            "export", "--manifest", manifest, "--model", model, "--out", "m.safetensors"
        )
        assert exported.code == 0, exported.err
        assert "load_file('m.safetensors')" in exported.out

    def test_code_that_is_named_by_its_digest_needs_consent(
        self, ganchor: Ganchor, manifest: Path
    ) -> None:
        store = open_store("out")
        store.put(CHEST.read_bytes())
        save_file(
            {"weight": np.ones((1, 2), np.float32), "bias": np.zeros(1, np.float32)},
            "a.safetensors",
        )
        text = changed(manifest, "chest.py", CODE).read_text()
        manifest.write_text(text.replace("batch", 'genesis = "a.safetensors"\nbatch'))
        words = ["simulate", manifest, "--store", "out", "--json"]
        assert_refused(ganchor(*words), f"the task runs code {CODE}", f"--allow-code {CODE}")
        assert ganchor(*words, "--allow-code", CODE).code == 0
        assert_refused(ganchor(*words, "--allow-code", "12"), "--allow-code", "64 hex digits")
        assert_refused(
            ganchor("simulate", manifest, "--allow-code", CODE), "give the task's --store"
        )

    def test_a_node_config_is_for_flower_apps(self, ganchor: Ganchor, manifest: Path) -> None:
        assert_refused(
            ganchor("simulate", manifest, "--node-config", "a=1"), "--node-config", "module"
        )
        assert_refused(
            ganchor("simulate", manifest, "--data", "a", "--data", "b", "--partition", "iid"),
            "--partition",
        )
