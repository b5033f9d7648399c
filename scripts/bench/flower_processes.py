"""Flower's programs as processes: a SuperLink, SuperNodes, and `flwr run`, which hands them the resting app."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

APP = Path(__file__).parent / "resting_app"
CLIENTS = 3
PATIENCE = 120.0
"""Seconds that a server has to start."""

CONNECTION = """\
[superlink]
default = "bench"

[superlink.bench]
address = "127.0.0.1:{port}"
insecure = true
"""


def flwr_run(rounds: int, *settings: str) -> list[str]:
    """The command that runs the resting app and waits for its end; `settings` are of its run configuration."""
    config = " ".join((f"num-server-rounds={rounds}", *settings))
    return [program("flwr"), "run", str(APP), "bench", "--stream", "--run-config", config]


def supernode(client: int, port: int) -> list[str]:
    """The command of a client's SuperNode; the SuperLink, or what stands before it, is at the port."""
    return [
        *(program("flower-supernode"), "--insecure", "--superlink", f"127.0.0.1:{port}"),
        *("--port", str(free_port())),
        *("--node-config", f"partition-id={client} num-partitions={CLIENTS}"),
    ]


def environment_of(folder: Path) -> dict[str, str]:
    """What all of them get: they keep their files in the folder, report to nobody, and install nothing."""
    return {
        **os.environ,
        "FLWR_HOME": str(folder),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "RESTING_ENDS": str(folder / "ends"),
        # Flower starts its own programs by name.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


def ends(folder: Path) -> list[float]:
    """When the rounds that are over ended, in seconds since 1970; the first is the beginning. The app wrote it down,
    because what `flwr run` prints comes late.
    """
    written = folder / "ends"
    return [float(line) for line in written.read_text().splitlines()] if written.exists() else []


@contextlib.contextmanager
def superlink(
    folder: Path, log: IO[bytes], environment: Mapping[str, str], *words: str
) -> Iterator[int]:
    """A SuperLink without TLS, which `flwr run` finds; its port."""
    port = free_port()
    (folder / "config.toml").write_text(CONNECTION.format(port=port))
    command = [program("flower-superlink"), "--insecure", "--port", str(port), *words]
    with running(command, environment, log):
        wait_for(port)
        yield port


@contextlib.contextmanager
def running(
    command: Sequence[str], environment: Mapping[str, str], output: IO[bytes] | int
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that is ended, with all processes that it started, on exit. What it says of errors goes into the same
    file, if the output is a file.
    """
    process = subprocess.Popen(
        command,
        env=dict(environment),
        stdout=output,
        stderr=None if output == subprocess.PIPE else output,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(port: int) -> None:
    """Wait until somebody listens.

    Raises:
        SystemExit: Nobody did in time.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with (
            contextlib.suppress(ConnectionRefusedError),
            socket.create_connection(("127.0.0.1", port)),
        ):
            return
        time.sleep(0.1)
    raise SystemExit(f"nothing listens at port {port} after {PATIENCE:.0f} seconds")


def program(name: str) -> str:
    """A program that came with a package."""
    return str(Path(sys.executable).with_name(name))
