"""SIGTERM ends a node in order, once, and in time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commanding import MEMBERS, Live, key_of

from fl_node.cli.exits import STOPPED

PRELUDE = """
import hashlib, os, signal, time
from fl_node.cli.app import run
from fl_node.cli.service.stopping import stoppable

def leave(number):
    print("leaving", flush=True)
    os.kill(os.getpid(), number)
"""


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Programs start as from a terminal: those of a script's background, where tests may run, would ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def ending(body: str) -> tuple[int, str]:
    """How a program ends whose command does this inside `stoppable`, and what it printed."""
    lines = "\n".join(f"    {line}" for line in body.strip().splitlines())
    program = f"{PRELUDE}\ndef command():\n{lines}\n\nrun(command)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout


def test_what_was_begun_is_ended() -> None:
    body = """
with stoppable():
    try:
        leave(signal.SIGTERM)
        time.sleep(60)
    except Exception:
        print("caught")
    finally:
        print("ended")
"""
    assert ending(body) == (STOPPED, "leaving\nended\n")


def test_a_second_signal_does_not_disturb_the_first() -> None:
    body = """
with stoppable():
    try:
        leave(signal.SIGTERM)
        time.sleep(60)
    finally:
        leave(signal.SIGTERM)
        print("ended")
"""
    assert ending(body) == (STOPPED, "leaving\nleaving\nended\n")


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", STOPPED), ("SIGINT", 130)])
def test_a_library_that_does_not_return_is_left(name: str, code: int) -> None:
    body = f"""
with stoppable(grace=0.1):
    leave_soon = [lambda: leave(signal.{name})]
    import threading
    threading.Timer(0.1, leave_soon[0]).start()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
    print("returned")
"""
    assert ending(body) == (code, "leaving\n")


def test_outside_nothing_is_changed() -> None:
    body = """
with stoppable():
    pass
leave(signal.SIGTERM)
"""
    assert ending(body) == (-signal.SIGTERM, "leaving\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, STOPPED), (signal.SIGINT, 130)])
def test_a_node_that_waits_for_its_chain_stops(
    live: Live, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    node: Any = subprocess.Popen(
        [
            *(sys.executable, "-m", "fl_node.cli", "node", "--log-format", "json"),
            *(*live.through("http://127.0.0.1:1").options, "--metrics-port", "0"),
            *("--state", str(tmp_path / "state")),
        ],
        stdout=subprocess.PIPE,
        env={**os.environ, "GANCHOR_PRIVATE_KEY": key_of(MEMBERS[0])},
    )
    with node:
        events = []
        for line in node.stdout:
            events.append(json.loads(line)["event"])
            if events[-1] == "waiting" and events.count("waiting") == 1:
                node.send_signal(number)
    assert node.returncode == code
    assert (events[0], events[-1]) == ("serving", "stopped")
