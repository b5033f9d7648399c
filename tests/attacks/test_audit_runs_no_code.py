"""The audit never runs a line of a task's own code: it replays a whole history with the code as a trap beside it.

The code leaves a mark wherever it runs. The audit's process has no torch, nothing that unpacks code or starts a child,
and dies at once if it starts any process, or compiles the code.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from commanding import MEMBERS, STRANGER, finished_task
from doubles import small_genesis, small_manifest

from chain.accounts import address_of
from chain.devnet import devnet_in_thread
from fl_node.blobs.model import encode_model
from fl_node.blobs.store import open_store
from fl_node.cli.workspace import Workspace
from fl_node.round.genesis import genesis_state

TRAP = """\
from pathlib import Path
Path({marker!r}).write_text("here")
raise SystemExit("the task's code ran")
"""
FORBIDDEN = ("torch", "torchvision", "flwr", "fl_node.learning", "fl_node.code.unpacking", "fl_node.child",
             "fl_node.child.process", "fl_node.child.learner", "fl_node.flower.open")  # fmt: skip
GUARDED = """\
import os, sys
sys.modules.update(dict.fromkeys({forbidden!r}))
def watch(event, arguments):
    if event.startswith(("subprocess", "os.fork", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "pty.")):
        os.write(2, b"a process was started"); os._exit(99)
    if event == "compile" and isinstance(arguments[0], str | bytes) and {marker!r} in str(arguments[0]):
        os.write(2, b"the code was compiled"); os._exit(98)
sys.addaudithook(watch)
from fl_node.cli import main
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def marker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("marker") / "the-code-ran"


@pytest.fixture(scope="module", params=["module", "flower"])
def place(
    request: pytest.FixtureRequest, marker: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Workspace]:
    """A finished task whose manifest names the trap. Its members' own nodes trained something else."""
    place = Workspace(tmp_path_factory.mktemp(request.param) / "workspace")
    place.create()
    store = open_store(place.store)
    learner = {
        "kind": request.param,
        "code": store.put(TRAP.format(marker=str(marker)).encode()).hex(),
        "entry": "trap:Trap",
        "genesis": store.put(encode_model(small_genesis())).hex(),
        "metrics": ["auc"],
    }
    manifest = small_manifest(tuple(address_of(signer) for signer in MEMBERS), learner=learner)
    funded = [address_of(signer) for signer in (*MEMBERS, STRANGER)]
    with devnet_in_thread(place.database, fund=funded) as url:
        genesis = genesis_state(manifest, small_genesis())
        assert finished_task(url, place, genesis, learner=learner) == 1
    yield place
    assert not marker.exists()


def guarded(place: Workspace, marker: Path, *words: str) -> subprocess.CompletedProcess[str]:
    program = GUARDED.format(forbidden=FORBIDDEN, marker=str(marker))
    done = subprocess.run(
        [sys.executable, "-c", program, *words, "--workspace", str(place.folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=place.folder,
    )
    assert not marker.exists()
    return done


@pytest.mark.slow
def test_the_trap_is_one(tmp_path: Path) -> None:
    """Where it runs, it leaves its mark: as a program and on import."""
    marker = tmp_path / "mark"
    trap = tmp_path / "trap.py"
    trap.write_text(TRAP.format(marker=str(marker)))
    for words in ([str(trap)], ["-c", "import trap"]):
        marker.unlink(missing_ok=True)
        subprocess.run([sys.executable, *words], check=False, cwd=tmp_path, capture_output=True)
        assert marker.exists()


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--derive-genesis"]], ids=["plain", "derived"])
def test_the_audit_of_a_whole_history_is_clean_and_runs_none_of_it(
    place: Workspace, marker: Path, options: list[str]
) -> None:
    done = guarded(place, marker, "audit", "--json", *options)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["verdict"] == "clean"
    assert len(report["rounds"]) == 2
    statuses = {step: found["status"] for step, found in report["steps"].items() if step != "A9"}
    assert set(statuses.values()) == {"clean"}


@pytest.mark.slow
@pytest.mark.parametrize("command", ["status", "log", "tasks", "code show", "weights"])
def test_nobody_who_looks_at_the_task_runs_it_either(
    place: Workspace, marker: Path, command: str
) -> None:
    done = guarded(place, marker, *command.split())
    assert done.returncode == 0, done.stderr
    if command == "code show":
        assert "the task's code ran" in done.stdout
