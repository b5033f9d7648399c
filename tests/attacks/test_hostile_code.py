"""A task's own code that looks for secrets, breaks out, breaks down, or does not stop."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from archives import LINK, zipped
from children import MODEL, PROGRAM, fake_code, fake_learner, fake_setup, has_ended, told
from doubles import MEMBERS, run
from hostile import ATTACKER, audit_of

from fl_node.child.learner import ChildLearner
from fl_node.code.blob import read_code
from fl_node.code.consent import verify_allowed
from fl_node.errors import BlobMalformed, CodeRefused

SECRETS = {
    "GANCHOR_PASSWORD": "hunter2",
    "GANCHOR_RPC_URL": "https://user:hunter2@endpoint",
    "ETH_RPC_URL": "https://endpoint/hunter2",
    "AWS_SECRET_ACCESS_KEY": "hunter2",
    "AWS_ENDPOINT_URL": "https://hunter2",
    "AZURE_STORAGE_ACCOUNT_KEY": "hunter2",
    "GOOGLE_APPLICATION_CREDENTIALS": "/hunter2.json",
    "HTTPS_PROXY": "https://user:hunter2@proxy",
    "HF_TOKEN": "hunter2",
    "PYTHONPATH": "/hunter2",
    "PYTHONSTARTUP": "/hunter2.py",
    "LD_PRELOAD": "",
}
HARMLESS = {
    "OMP_NUM_THREADS": "3",
    "CUDA_VISIBLE_DEVICES": "",
    "LC_NUMERIC": "C",
    "HOME": "/home/me",
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What code finds around it, in a node that has secrets, and files open that its children inherit."""
    private = tmp_path_factory.mktemp("node") / "keystore"
    private.write_text("hunter2")
    inherited = os.open(private, os.O_RDONLY)
    os.set_inheritable(inherited, True)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**SECRETS, **HARMLESS}.items():
            patch.setenv(name, value)
        with fake_learner() as learner:
            trained = learner.train(told("look"))
            assert learner._child is not None
            pid = learner._child.pid
    os.close(inherited)
    return {"pid": pid, **json.loads(bytes(trained.private["told"]))}


def test_there_is_no_password_endpoint_or_store_in_its_environment(seen: dict[str, Any]) -> None:
    found = dict(entry.split("=", 1) for entry in seen["environ"].split("\0") if entry)
    assert not found.keys() & SECRETS.keys()
    assert "hunter2" not in seen["environ"]
    assert found.items() >= HARMLESS.items()
    assert found["FLWR_TELEMETRY_ENABLED"] == "0"
    assert found["FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION"] == "1"
    assert found["FLWR_HOME"].startswith(str(Path(seen["cwd"]).parent))


def test_there_is_none_in_its_command_line(seen: dict[str, Any]) -> None:
    assert re.fullmatch(r"-c \S+/code \d+ \d+ \d+", " ".join(seen["argv"]))


def test_the_node_s_open_files_are_closed(seen: dict[str, Any]) -> None:
    open_files = [where for where in seen["descriptors"].values() if not where.startswith("/proc/")]
    assert sorted({where.partition(":")[0] for where in open_files}) == ["/dev/null", "pipe"]
    assert len(open_files) == 6  # standard input, output and error, and three pipes


def test_it_is_alone_in_a_session_leaves_no_core_and_goes_first(seen: dict[str, Any]) -> None:
    assert seen["group"] == [seen["pid"]] * 3
    assert seen["core"] == [0, 0]
    assert seen["oom"] == "1000"
    assert Path(seen["cwd"]).name == "work"
    assert not Path(seen["cwd"]).exists()


def test_it_has_no_part_of_the_node_that_signs_or_fetches(seen: dict[str, Any]) -> None:
    """Nor has it the libraries for that in memory, unless it imports them."""
    for name in ("web3", "eth_account", "obstore", "torch", "fl_node.cli", "fl_node.member"):
        assert not [module for module in seen["modules"] if module.startswith(name)]


def test_the_node_s_half_needs_no_torch() -> None:
    program = (
        "import sys; sys.modules['torch'] = None; import fl_node.child.learner; "
        "import fl_node.code.packing, fl_node.code.consent, fl_node.code.requirements"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_code_that_nobody_allowed_is_not_run() -> None:
    with pytest.raises(CodeRefused, match="ganchor code show"):
        verify_allowed(fake_code().digest, frozenset())


@pytest.mark.parametrize(
    ("files", "mode"),
    [
        ({"../../.bashrc.py": "x"}, 0),
        ({"/etc/cron.d/x.py": "x"}, 0),
        ({"a.py": "/etc/passwd"}, LINK),
    ],
    ids=["traversal", "absolute", "link"],
)
def test_an_archive_that_leaves_its_folder_is_never_unpacked(
    files: dict[str, str], mode: int
) -> None:
    with pytest.raises(BlobMalformed):
        read_code(zipped(files, mode))


def test_modules_named_like_the_node_s_own_do_not_replace_them() -> None:
    """The code's folder comes first on the path, after the child's program was imported."""
    evil = "raise SystemExit('replaced')"
    own = dict.fromkeys(("fl_node/__init__.py", "chain/__init__.py", "numpy.py", "json.py"), evil)
    kind = Path(__file__).parents[1] / "fake_kind.py"
    code = read_code(zipped({**own, "fake_kind.py": kind.read_text()}))
    with ChildLearner(fake_setup(), code, MODEL, timeout=60, program=PROGRAM) as learner:
        assert learner.train(told("")).num_examples == 12


@pytest.mark.skipif(sys.platform != "linux", reason="prctl")
def test_the_node_cannot_be_read_under_proc() -> None:
    """The kernel then shows /proc/PID/environ and its like to root alone, and lets nobody else attach."""
    program = PARENT.format(
        tests=str(Path(__file__).parents[1]),
        then="import ctypes; print(ctypes.CDLL(None).prctl(3)); "  # PR_GET_DUMPABLE
        "print(os.stat('/proc/self/environ').st_uid)",
    )
    answer = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert answer.stdout.split()[1:] == [b"0", b"0"]


# It dies with its node


PARENT = """
import os, sys, time
sys.path.insert(0, {tests!r})
from children import fake_learner, told
learner = fake_learner()
learner.open()
os.environ.clear()
print(learner._child.pid, flush=True)
{then}
"""


@pytest.mark.parametrize("killing", [signal.SIGKILL, signal.SIGTERM])
def test_a_node_that_is_killed_leaves_nothing_of_it(
    tmp_path: Path, killing: signal.Signals
) -> None:
    """Not even what the code started: on Linux the kernel sees to it, however the node ends."""
    then = "learner.train(told('hang with grandchild'))"
    program = PARENT.format(tests=str(Path(__file__).parents[1]), then=then)
    home = {**os.environ, "HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env=home
    ) as node:
        assert node.stdout is not None
        child = int(node.stdout.readline())
        grandchild = tmp_path / "grandchild"
        for _ in range(5000):
            if grandchild.exists() and grandchild.read_text():
                break
            time.sleep(0.01)
        os.kill(node.pid, killing)
        assert has_ended(child)
        assert has_ended(int(grandchild.read_text()))


def test_it_outlives_the_thread_that_started_it() -> None:
    """A signal at the parent's death (PR_SET_PDEATHSIG) would come when that thread ends."""
    learner = fake_learner()
    starting = threading.Thread(target=learner.open)
    starting.start()
    starting.join()
    assert learner._child is not None
    pid = learner._child.pid
    assert learner.train(told("")).num_examples == 12
    assert learner._child.pid == pid
    learner.close()


# It costs its member the round, and nobody anything else


@pytest.mark.parametrize(
    "what", ["raise", "killed", "hang", "nan", "huge frame", "no examples", "none", "abort"]
)
def test_a_member_whose_code_fails_sits_out_and_the_task_goes_on(federation, what: str) -> None:
    learner = fake_learner(knobs={"train": what})
    learner.open()
    learner._timeout = 2.0
    federation.learners[ATTACKER] = learner
    run(federation, MEMBERS)
    learner.close()
    report = audit_of(federation)
    assert report.verdict == "clean"
    for audited in report.rounds:
        assert {update.client for update in audited.updates} == set(MEMBERS) - {ATTACKER}


def test_a_member_whose_code_works_takes_part(federation) -> None:
    with fake_learner() as learner:
        federation.learners[ATTACKER] = learner
        run(federation, MEMBERS)
    for audited in audit_of(federation).rounds:
        assert {update.client for update in audited.updates} == set(MEMBERS)
