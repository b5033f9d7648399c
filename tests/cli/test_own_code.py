"""Tasks with code of one's own, from the command line: packed, allowed, run in child processes, audited."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from commanding import MEMBERS, Ganchor, Live, Outcome, key_of
from safetensors.numpy import save_file
from test_bad_input import assert_refused

from chain.accounts import address_of
from fl_node.blobs.store import open_store

CHEST = Path(__file__).with_name("chest.py")
CODE = sha256(CHEST.read_bytes()).hexdigest()
GANCHOR = [sys.executable, "-m", "fl_node.cli"]
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


@pytest.fixture
def task(ganchor: Ganchor, live: Live, manifest: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """A task with this code, opened on the running chain; the first member's key is set."""
    monkeypatch.setenv("GANCHOR_PRIVATE_KEY", key_of(MEMBERS[0]))
    opened = ganchor("task", "open", manifest, *live.options, "--json")
    assert opened.code == 0, opened.err
    said = json.loads(opened.out)
    assert said["code_digest"] == CODE
    return int(said["task"])


class TestNode:
    def node(self, ganchor: Ganchor, live: Live, task: int, *words: object) -> Outcome:
        return ganchor(
            "node", "--task", task, *live.options, "--patience", 5, "--poll", 0.05, *words
        )

    def test_nothing_runs_without_consent(
        self, ganchor: Ganchor, live: Live, task: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fl_node.child.process.Child.__init__", must_not_run)
        said = (f"the task runs code {CODE}", f"ganchor code show {CODE}", f"--allow-code {CODE}")
        for words in ([], ["--allow-code", "ab" * 32], ["--dry-run"]):
            outcome = self.node(ganchor, live, task, *words)
            assert outcome.code == 2
            for part in said:
                assert part in outcome.err
        assert not live.ledger().task_state(task).acted

    def test_a_dry_run_shows_what_would_leave_and_sends_nothing(
        self, ganchor: Ganchor, live: Live, task: int
    ) -> None:
        words = ["--allow-code", CODE, "--dry-run", "--data", "0.1"]
        outcome = self.node(ganchor, live, task, *words, "--json")
        assert outcome.code == 0, outcome.err
        run = json.loads(outcome.out.splitlines()[-1])
        assert (run["event"], run["examples"], run["steps"]) == ("dry run", 18, 2)
        assert run["norm"] > 0 and run["bytes"] > 0 and float(run["error"]) > 0
        assert run["numpy"] == np.__version__ and run["objections"] == []
        state = live.ledger().task_state(task)
        assert (state.acted, state.round) == (0, 1)
        assert not Path("node-state").exists()

    def test_a_policy_counts_more_than_the_task(
        self, ganchor: Ganchor, live: Live, task: int, tmp_path: Path
    ) -> None:
        policy = tmp_path / "policy.toml"
        policy.write_text(f'allow_code = ["{CODE}"]\nmost_examples = 5\n')
        outcome = self.node(ganchor, live, task, "--policy", policy, "--dry-run")
        assert outcome.code == 0, outcome.err
        assert "18 examples; the node's policy allows 5" in outcome.out
        policy.write_text(f'allow_manifests = ["{"ab" * 32}"]\n')
        refused = self.node(ganchor, live, task, "--policy", policy)
        assert "does not allow the manifest" in refused.err

    def test_a_flower_option_is_for_flower_tasks(
        self, ganchor: Ganchor, live: Live, task: int
    ) -> None:
        outcome = self.node(ganchor, live, task, "--flower", CHEST)
        assert "trains a module, and no Flower app" in outcome.err


def must_not_run(*_: object, **__: object) -> None:
    raise AssertionError("the task's code was about to run")


@pytest.mark.slow
def test_two_nodes_train_own_code_and_end_where_the_simulation_ends(
    ganchor: Ganchor, live: Live, manifest: Path, task: int, tmp_path: Path
) -> None:
    expected = ganchor("simulate", manifest, "--data", "0.1", "--data", "0.2", "--json")
    nodes = [
        subprocess.Popen(
            [*GANCHOR, "node", "--task", str(task), *live.options, "--state", str(tmp_path / f"{index}"),
             "--data", f"0.{index + 1}", "--allow-code", CODE, "--device", "cpu", "--poll", "0.05", "--json"],
            stdout=subprocess.PIPE,
            env={**os.environ, "GANCHOR_PRIVATE_KEY": key_of(member)},
        )
        for index, member in enumerate(MEMBERS)
    ]  # fmt: skip
    said = [node.communicate(timeout=240)[0].decode() for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    finals = {json.loads(text.splitlines()[-1])["final_digest"] for text in said}
    assert finals == {json.loads(expected.out)["final_digest"]}
    audited = ganchor("audit", "--task", task, *live.options, "--derive-genesis", "--json")
    assert audited.code == 0, audited.out
    assert json.loads(audited.out)["verdict"] == "clean"
