"""Tasks with code of one's own, from the command line: packed, allowed, run in child processes, audited."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commanding import MEMBERS, Ganchor, Live, Outcome, key_of
from doubles import small_manifest
from safetensors.numpy import save_file
from test_bad_input import assert_refused

from chain.accounts import address_of
from fl_node.blobs.digest import digest_of
from fl_node.blobs.store import open_store
from fl_node.cli.own_code import own_app, told
from fl_node.code.packing import pack, pack_installed
from fl_node.errors import CodeRefused, Misuse
from fl_node.manifest.code_learners import ModuleLearner
from fl_node.manifest.manifest import Manifest
from fl_node.manifest.packing import read_draft

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


def write_manifest(folder: Path) -> Path:
    shutil.copy(CHEST, folder / "chest.py")
    path = folder / "lines.toml"
    path.write_text(MANIFEST)
    return path


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return write_manifest(tmp_path)


def said_by(*words: object) -> dict[str, Any]:
    """What a command that goes well says, in a process of its own: JSON, and nothing that the code prints."""
    command = [*GANCHOR, *map(str, words), "--json"]
    said: dict[str, Any] = json.loads(
        subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    )
    return said


@dataclass(frozen=True)
class Simulated:
    """A simulation of the manifest by two members, 0.1 and 0.2 their data."""

    said: dict[str, Any]
    store: Path


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    folder = tmp_path_factory.mktemp("simulated")
    words = ["--data", "0.1", "--data", "0.2", "--store", folder / "out"]
    return Simulated(said_by("simulate", write_manifest(folder), *words), folder / "out")


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
        self, ganchor: Ganchor, manifest: Path, simulated: Simulated
    ) -> None:
        assert simulated.said["rounds"][-1] == simulated.said["final_digest"]
        (model,) = simulated.store.rglob(simulated.said["final_digest"])
        exported = ganchor(
            "weights", "--manifest", manifest, "--model", model, "--out", "m.safetensors"
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
def as_first(ganchor: Ganchor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands act as the first member."""
    monkeypatch.setenv("GANCHOR_PRIVATE_KEY", key_of(MEMBERS[0]))


def open_with_code(live: Live, folder: Path) -> int:
    """Open a task with this code on the running chain, as the first member; its number."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GANCHOR_PRIVATE_KEY", key_of(MEMBERS[0]))
        said = said_by("task", "open", write_manifest(folder), *live.options)
    assert said["code_digest"] == CODE
    return int(said["task"])


@pytest.fixture(scope="module")
def untouched(live: Live, tmp_path_factory: pytest.TempPathFactory) -> int:
    """A task with this code in which nobody does anything."""
    return open_with_code(live, tmp_path_factory.mktemp("untouched"))


@pytest.fixture
def task(live: Live, tmp_path: Path) -> int:
    """A task with this code, for one test."""
    return open_with_code(live, tmp_path)


@pytest.mark.usefixtures("as_first")
class TestNode:
    def node(self, ganchor: Ganchor, live: Live, untouched: int, *words: object) -> Outcome:
        return ganchor(
            "node", "--task", untouched, *live.options, "--patience", 5, "--poll", 0.05, *words
        )

    def test_nothing_runs_without_consent(
        self, ganchor: Ganchor, live: Live, untouched: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("fl_node.child.process.Child.__init__", must_not_run)
        said = (f"the task runs code {CODE}", f"ganchor code show {CODE}", f"--allow-code {CODE}")
        for words in ([], ["--allow-code", "ab" * 32], ["--dry-run"]):
            outcome = self.node(ganchor, live, untouched, *words)
            assert outcome.code == 2
            for part in said:
                assert part in outcome.err
        assert not live.ledger().task_state(untouched).committed

    def test_a_dry_run_shows_what_would_leave_and_sends_nothing(
        self, ganchor: Ganchor, live: Live, untouched: int
    ) -> None:
        words = ["--allow-code", CODE, "--dry-run", "--data", "0.1"]
        outcome = self.node(ganchor, live, untouched, *words, "--log-format", "json")
        assert outcome.code == 0, outcome.err
        run = json.loads(outcome.out.splitlines()[-1])
        assert (run["event"], run["examples"], run["steps"]) == ("dry run", 18, 2)
        assert run["norm"] > 0 and run["bytes"] > 0 and float(run["error"]) > 0
        assert run["numpy"] == np.__version__ and run["objections"] == []
        state = live.ledger().task_state(untouched)
        assert (state.committed, state.round) == (0, 1)
        assert not Path("node-state").exists()

    def test_a_policy_counts_more_than_the_task(
        self, ganchor: Ganchor, live: Live, untouched: int, tmp_path: Path
    ) -> None:
        policy = tmp_path / "policy.toml"
        policy.write_text(f'allow_code = ["{CODE}"]\nmost_examples = 5\n')
        outcome = self.node(ganchor, live, untouched, "--policy", policy, "--dry-run")
        assert outcome.code == 0, outcome.err
        assert "18 examples; the node's policy allows 5" in outcome.out
        policy.write_text(f'allow_manifests = ["{"ab" * 32}"]\n')
        refused = self.node(ganchor, live, untouched, "--policy", policy)
        assert "does not allow the manifest" in refused.err

    def test_a_flower_option_is_for_flower_tasks(
        self, ganchor: Ganchor, live: Live, untouched: int
    ) -> None:
        outcome = self.node(ganchor, live, untouched, "--flower", CHEST)
        assert "trains a module, and no Flower app" in outcome.err


def must_not_run(*_: object, **__: object) -> None:
    raise AssertionError("the task's code was about to run")


@pytest.mark.slow
def test_two_nodes_train_own_code_and_end_where_the_simulation_ends(
    ganchor: Ganchor, live: Live, task: int, simulated: Simulated, tmp_path: Path
) -> None:
    nodes = [
        subprocess.Popen(
            [*GANCHOR, "node", "--task", str(task), *live.options, "--state", str(tmp_path / f"{index}"),
             "--data", f"0.{index + 1}", "--allow-code", CODE, "--device", "cpu", "--poll", "0.05",
             "--log-format", "json"],
            stdout=subprocess.PIPE,
            env={**os.environ, "GANCHOR_PRIVATE_KEY": key_of(member)},
        )
        for index, member in enumerate(MEMBERS)
    ]  # fmt: skip
    said = [node.communicate(timeout=240)[0].decode() for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    finals = {json.loads(text.splitlines()[-1])["final_digest"] for text in said}
    assert finals == {simulated.said["final_digest"]}
    audited = ganchor("audit", "--task", task, *live.options, "--derive-genesis", "--json")
    assert audited.code == 0, audited.out
    report = json.loads(audited.out)
    assert report["verdict"] == "clean"
    error = report["rounds"][-1]["metrics"]["error"]
    assert f"error {error}" in ganchor("audit", "--task", task, *live.options).out
    assert f"error {error} (round 2)" in ganchor("status", "--task", task, *live.options).out
    known = json.loads(ganchor("status", "--task", task, *live.options, "--json").out)
    assert known["measured"] == {"round": 2, "metrics": {"error": error}}
    unknown = ganchor("status", "--task", task, *live.chain_options, "--store", "nowhere", "--json")
    assert json.loads(unknown.out)["measured"] is None


class TestShow:
    def test_it_prints_what_the_task_would_run(
        self, ganchor: Ganchor, live: Live, untouched: int
    ) -> None:
        shown = ganchor("code", "show", "--task", untouched, *live.options)
        assert shown.code == 0, shown.err
        assert f"code      {CODE}" in shown.out and "a Python file" in shown.out
        assert "requires  numpy" in shown.out
        assert CHEST.read_text().splitlines()[-1] in shown.out.splitlines()
        said = json.loads(ganchor("code", "show", CODE, "--store", live.place.store, "--json").out)
        assert said["texts"] == {"module.py": CHEST.read_text()}

    def test_nothing_in_it_reaches_the_terminal_as_a_command(self, ganchor: Ganchor) -> None:
        evil = "x = 1  # \x1b[2J\u202e\n\tindented = '\x07'\r# hidden?\n"
        digest = open_store("out").put(evil.encode()).hex()
        shown = ganchor("code", "show", digest, "--store", "out").out
        assert not any(ord(character) < 32 and character != "\n" for character in shown)
        assert "\u202e" not in shown and "\\x1b[2J\\u202e" in shown
        assert "        indented = '\\x07'" in shown

    @pytest.mark.parametrize(
        ("words", "reason"),
        [
            (["ab" * 32, "--store", "out"], "is this the task's store?"),
            (["12", "--store", "out"], "64 hex digits"),
            ([CODE, "--store", "nowhere"], "no such folder"),
        ],
    )
    def test_code_that_is_not_there(self, ganchor: Ganchor, words: list[str], reason: str) -> None:
        open_store("out").put(b"x = 1")
        assert_refused(ganchor("code", "show", *words), reason)

    def test_a_blob_that_is_no_code(self, ganchor: Ganchor) -> None:
        digest = open_store("out").put(b"\xff\xfe").hex()
        assert_refused(
            ganchor("code", "show", digest, "--store", "out"), "neither a zip archive nor"
        )

    def test_a_task_without_code_of_its_own(self, ganchor: Ganchor, live: Live) -> None:
        outcome = ganchor("code", "show", "--task", live.finished, *live.options)
        assert_refused(outcome, f"task {live.finished} trains a gan, which comes with this package")


class TestOtherCommands:
    @pytest.mark.parametrize("command", ["samples", "evaluate", "extractor"])
    def test_what_is_for_pictures_says_so(
        self, ganchor: Ganchor, manifest: Path, command: str
    ) -> None:
        save_file({"w": np.zeros(1, np.float32)}, "m.safetensors")
        models = ["--manifest", manifest, "--model", "m.safetensors"]
        words = {
            "samples": models,
            "evaluate": [*models, "--data", "digits"],
            "extractor": [manifest, "--data", "digits"],
        }
        outcome = ganchor(command, *words[command])
        assert_refused(outcome, 'code of its own (learner.kind = "module")', "ganchor weights")


BOTH = ["--member", SECOND, "--member", FIRST]


class TestNewManifest:
    def test_for_a_file_of_ones_own(self, ganchor: Ganchor, manifest: Path) -> None:
        outcome = ganchor("manifest", "new", *BOTH, "--code", "chest.py:Chest", "--rounds", 3)
        assert outcome.code == 0, outcome.err
        assert "wrote manifest.toml: 2 members; your own code: chest.py" in outcome.out
        draft = read_draft(Path("manifest.toml"))
        assert draft.manifest.learner.model_dump()["code"] == CODE
        assert (draft.maker, draft.manifest.rounds.count) == ("", 3)

    def test_paths_are_relative_to_the_manifest(self, ganchor: Ganchor, manifest: Path) -> None:
        Path("tasks").mkdir()
        words = ["--code", "chest.py:Chest", "--genesis", "chest:small", "--out", "tasks/t.toml"]
        assert ganchor("manifest", "new", *BOTH, *words, "--json").code == 0
        assert 'code = "../chest.py"' in Path("tasks/t.toml").read_text()
        assert read_draft(Path("tasks/t.toml")).maker == "chest:small"

    def test_for_a_flower_app(self, ganchor: Ganchor, tmp_path: Path) -> None:
        app = tmp_path / "quick" / "quick"
        app.mkdir(parents=True)
        (app / "client_app.py").write_text("raise SystemExit\n")
        (tmp_path / "quick" / "pyproject.toml").write_text(
            '[tool.flwr.app.components]\nclientapp = "quick.client_app:app"\n'
        )
        words = ["manifest", "new", *BOTH, "--flower", "quick"]
        assert_refused(ganchor(*words), "--flower needs --genesis", "app.task:Net")
        assert ganchor(*words, "--genesis", "quick.task:Net").code == 0
        learner = read_draft(Path("manifest.toml")).manifest.learner.model_dump()
        assert (learner["kind"], learner["entry"]) == ("flower", "quick.client_app:app")

    @pytest.mark.parametrize(
        ("words", "reason"),
        [
            (["--code", "chest.py"], "FILE.py:NAME"),
            (["--code", "chst.py:Chest"], "chst.py: No such file"),
            (["--code", "lab:Chest"], "FOLDER:MODULE:NAME"),
            (["--code", "chest.py:Chest", "--flower", "quick"], "exclude each other"),
            (["--code", "chest.py:Chest", "--learner", "gan"], "--learner is for pictures"),
            (["--genesis", "base.safetensors"], "give --code or --flower"),
        ],
    )
    def test_what_gives_no_manifest_writes_none(
        self, ganchor: Ganchor, manifest: Path, words: list[str], reason: str
    ) -> None:
        assert_refused(ganchor("manifest", "new", *BOTH, *words), reason)
        assert not Path("manifest.toml").exists()


class TestTold:
    LEARNER = ModuleLearner(code=CODE, entry="chest:Chest", genesis=CODE)

    def test_a_path_reaches_the_code_as_a_whole_one(self, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.chdir(tmp_path)
        Path("alice.csv").touch()
        assert told(self.LEARNER, "alice.csv", None) == str(tmp_path / "alice.csv")

    @pytest.mark.parametrize("text", ["bob.csv", "ward 7", "", "a" * 5000, "nul\0"])
    def test_any_other_text_reaches_it_as_it_is(self, text: str) -> None:
        assert told(self.LEARNER, text, None) == text


class TestOwnApp:
    """`node --flower`: whoever has the app itself, allows it by naming it."""

    @pytest.fixture
    def app(self, tmp_path: Path) -> Path:
        (tmp_path / "app").mkdir()
        (tmp_path / "app" / "client_app.py").write_text("raise SystemExit\n")
        return tmp_path / "app"

    def task_with(self, code: bytes, kind: str = "flower") -> Manifest:
        learner = {
            "kind": kind,
            "code": digest_of(code).hex(),
            "entry": "client_app:app",
            "genesis": "cd" * 32,
        }
        return small_manifest(learner=learner)

    def test_the_same_app_is_allowed(self, app: Path) -> None:
        assert own_app(self.task_with(pack(app)), str(app)) == digest_of(pack(app))

    def test_an_installed_app_is_found_by_its_module(self) -> None:
        packed = pack_installed("colorsys")
        assert own_app(self.task_with(packed), "colorsys:app") == digest_of(packed)

    def test_another_app_is_not(self, app: Path) -> None:
        manifest = self.task_with(pack(app))
        (app / "client_app.py").write_text("import os\n")
        with pytest.raises(CodeRefused, match=r"but the task runs .*ganchor code show"):
            own_app(manifest, str(app))

    @pytest.mark.parametrize("flower", ["nowhere", "", "nosuchmodule:app", "../x:app"])
    def test_what_is_no_app(self, app: Path, flower: str) -> None:
        with pytest.raises((Misuse, CodeRefused)) as refused:
            own_app(self.task_with(pack(app)), flower)
        assert "\n" not in str(refused.value)

    def test_a_flower_app_gets_a_node_config_and_no_data(self, app: Path) -> None:
        learner = self.task_with(pack(app)).learner
        assert told(learner, None, "partition-id=0") == "partition-id=0"
        assert told(learner, None, None) == ""
        with pytest.raises(Misuse, match="--node-config says which"):
            told(learner, "digits", None)


@pytest.mark.parametrize(("data", "expected"), [(None, "digits"), ("", ""), ("mnist", "mnist")])
def test_pictures_are_the_digits_unless_somebody_says_otherwise(
    data: str | None, expected: str
) -> None:
    assert told(small_manifest().learner, data, None) == expected


@pytest.mark.slow
def test_a_node_that_is_stopped_takes_its_child_along_and_goes_on_where_it_was(
    live: Live, task: int, simulated: Simulated, tmp_path: Path
) -> None:
    def start(index: int) -> subprocess.Popen[str]:
        words = ["--task", task, "--state", tmp_path / f"{index}", "--data", f"0.{index + 1}", "--allow-code", CODE,
                 "--device", "cpu", "--poll", "0.05", "--log-format", "json"]  # fmt: skip
        return subprocess.Popen(
            [*GANCHOR, "node", *map(str, words), *live.options],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "GANCHOR_PRIVATE_KEY": key_of(MEMBERS[index])},
        )

    with start(0) as stopped:
        assert stopped.stdout is not None
        children: list[str] = []
        events = []
        for line in stopped.stdout:
            events.append(json.loads(line)["event"])
            if events[-1] == "commit":
                children = (
                    Path(f"/proc/{stopped.pid}/task/{stopped.pid}/children").read_text().split()
                )
                stopped.terminate()
    assert (stopped.returncode, events[-1]) == (143, "stopped")
    assert children and not [child for child in children if Path("/proc", child).exists()]
    said = [node.communicate(timeout=240)[0] for node in [start(0), start(1)]]
    finals = {json.loads(text.splitlines()[-1]).get("final_digest") for text in said}
    assert finals == {simulated.said["final_digest"]}, said
