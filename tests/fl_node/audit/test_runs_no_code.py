"""The audit never runs a line of a task's own code: it does not import it, start a process for it, or even read it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from doubles import (
    MEMBERS,
    STATING,
    Clock,
    Federation,
    StatingLearner,
    run,
    small_genesis,
    small_manifest,
)

from chain.memory_ledger import MemoryLedger
from fl_node.arrays import Arrays
from fl_node.audit import AuditReport, Status, audit
from fl_node.audit.reported import report_of
from fl_node.blobs.digest import digest_of
from fl_node.blobs.model import encode_model
from fl_node.blobs.store import Store, key_of, open_store
from fl_node.code.blob import read_code
from fl_node.manifest.code_learners import CodeLearner
from fl_node.manifest.manifest import Manifest
from fl_node.member.opening import open_task
from fl_node.round.genesis import stored_genesis

ROOT = Path(__file__).parents[3]
CODE = b"""from pathlib import Path

Path("the code ran").touch()
raise SystemExit("whoever runs this is found out")
"""
STARTS = {
    *("ctypes.dlopen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn"),
    *("os.system", "pty.spawn", "subprocess.Popen"),
}
"""Python's audit events for new processes and foreign libraries."""


def finished(folder: Path) -> Federation:
    """A task with code of its own, trained by members who have run it."""
    store, ledger, clock = open_store(folder / "store"), MemoryLedger(clock=Clock()), Clock()
    read_code(CODE)  # It is code as a member would get it.
    digests = {"code": CODE, "genesis": encode_model(small_genesis())}
    learner = STATING | {name: store.put(blob).hex() for name, blob in digests.items()}
    manifest = small_manifest(learner=learner)
    task = open_task(ledger, store, manifest, genesis_of(manifest, store)).task
    federation = Federation(folder, ledger, store, manifest, task, clock)
    for index, member in enumerate(MEMBERS):
        federation.learners[member] = StatingLearner(1 + index, held_out={"accuracy": 0.5})
    run(federation)
    return federation


def genesis_of(manifest: Manifest, store: Any) -> Arrays:
    assert isinstance(manifest.learner, CodeLearner)
    return stored_genesis(manifest, manifest.learner, store)


def whole_audit(federation: Federation, store: Any = None) -> AuditReport:
    """With every step that there is."""
    store, ledger, task = store or federation.store, federation.ledger, federation.task
    reported = report_of(audit(lambda: ledger, store, task), {}, 1.5, "workspace")
    return audit(
        lambda: ledger,
        store,
        task,
        derive_genesis=lambda manifest: genesis_of(manifest, store),
        reported=reported,
        expected_head=ledger.task_state(task).history_head,
    )


class Noting:
    """A store that notes what is read."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.read: set[bytes] = set()

    def get(self, digest: bytes, max_bytes: int) -> memoryview:
        self.read.add(digest)
        return self.store.get(digest, max_bytes)


def test_every_step_is_clean_and_the_code_is_not_even_read(tmp_path):
    federation = finished(tmp_path)
    store = Noting(federation.store)
    report = whole_audit(federation, store)
    assert set(report.statuses.values()) == {Status.CLEAN}
    assert report.rounds[1].metrics == {"accuracy": "0.5", "auc": None, "kid": None}
    assert digest_of(CODE) not in store.read
    assert len(store.read) > 8


@pytest.mark.parametrize("content", [None, b"import antigravity"], ids=["gone", "replaced"])
def test_the_audit_is_the_same_when_the_code_is_lost(tmp_path, content):
    federation = finished(tmp_path)
    before = whole_audit(federation).to_json()
    path = tmp_path / "store" / key_of(digest_of(CODE))
    path.chmod(0o600)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert whole_audit(federation).to_json() == before


def watched(folder: Path, what: str) -> list[str]:
    """What is printed by a process in which Python reports whatever is imported, executed or started."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests")))}
    printed = subprocess.run(
        [sys.executable, __file__, what],
        cwd=folder,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return printed.stdout.splitlines()


@pytest.mark.slow
def test_the_audit_starts_no_process_and_executes_nothing_that_is_not_its_own(tmp_path):
    assert watched(tmp_path, "audit") == ["clean"]
    assert not (tmp_path / "the code ran").exists()


@pytest.mark.slow
def test_the_watch_would_see_it(tmp_path):
    assert watched(tmp_path, "run") == ["compile", "subprocess.Popen"]
    assert (tmp_path / "the code ran").exists()


def under_watch(what: str) -> None:
    """Print each forbidden event of an audit and then its verdict, or of running the code in both ways."""
    federation = finished(Path()) if what == "audit" else None
    sys.addaudithook(_print_forbidden)
    if federation:
        print(whole_audit(federation).verdict)
    else:
        with suppress(SystemExit):
            exec(CODE)
        subprocess.run([sys.executable, "-c", ""], check=True)


def _print_forbidden(event: str, arguments: tuple[Any, ...]) -> None:
    if event in STARTS:
        print(event)
    elif event == "import" and str(arguments[0]).startswith(("net", "fl_node.child", "torch")):
        print(event, arguments[0])
    elif event == "compile" and CODE in (arguments[0], str(arguments[0]).encode()):
        print(event)
    elif event == "exec":
        _print_foreign(arguments[0].co_filename)


def _print_foreign(filename: str) -> None:
    own = (str(ROOT), sys.prefix, sys.base_prefix, "<frozen", "<string>")
    if not filename.startswith(own):
        print("exec", filename)


if __name__ == "__main__":
    under_watch(sys.argv[1])
