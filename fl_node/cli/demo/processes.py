"""The processes of the demo: the local chain and the nodes, started and stopped in order."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from chain.accounts import Signer, address_of
from chain.types import Address
from fl_node.cli.accounts import PLAIN_KEY_VARIABLE
from fl_node.cli.options import STORE_VARIABLE
from fl_node.cli.workspace import Workspace
from fl_node.errors import GanchorError

POLL_SECONDS = 0.2
STOP_SECONDS = 10


class DemoFailed(GanchorError):
    """A process of the demo ended too early."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node's process and its files."""

    address: Address
    process: subprocess.Popen[bytes]
    log: Path


@contextlib.contextmanager
def running_chain(workspace: Workspace, signers: Sequence[Signer]) -> Iterator[str]:
    """Run the durable local chain in its own process, with funded accounts; yields its URL."""
    funded = [word for signer in signers for word in ("--fund", address_of(signer))]
    command = ["devnet", "--database", str(workspace.database), "--port", "0", *funded]
    with (workspace.folder / "devnet.log").open("wb") as log:
        process = _start(command, stdout=subprocess.PIPE, stderr=log)
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            if not ready:
                raise DemoFailed(f"the local chain did not start; see {log.name}")
            yield str(json.loads(ready)["url"])
        finally:
            _stop(process)


@contextlib.contextmanager
def running_nodes(
    workspace: Workspace,
    rpc_url: str,
    task: int,
    signers: Sequence[Signer],
    training: Sequence[str],
) -> Iterator[list[Node]]:
    """Run a process for each member; those that are still running at the end are stopped."""
    common = [
        *("node", "--log-format", "json", "--task", str(task), "--rpc-url", rpc_url),
        *("--deployment", str(workspace.deployment)),
        *("--poll", str(POLL_SECONDS), *training),
    ]
    running: list[Node] = []
    try:
        for number, signer in enumerate(signers, start=1):
            running.append(_start_node(workspace, number, signer, common))
        yield running
    finally:
        for node in running:
            _stop(node.process)


def _start_node(workspace: Workspace, number: int, signer: Signer, command: Sequence[str]) -> Node:
    folder = workspace.nodes / str(number)
    folder.mkdir()
    # Other users can see command lines: a key, or a store's URL that may hold one, goes into the environment.
    secret = {
        PLAIN_KEY_VARIABLE: "0x" + bytes(signer.key).hex(),
        STORE_VARIABLE: str(workspace.store),
    }
    log = folder / "log.jsonl"
    with log.open("wb") as out, (folder / "errors.log").open("wb") as errors:
        process = _start(
            [*command, "--state", str(folder / "state")],
            stdout=out,
            stderr=errors,
            environment=secret,
        )
    return Node(address_of(signer), process, log)


def _start(
    command: Sequence[str],
    stdout: int | IO[bytes],
    stderr: IO[bytes],
    environment: dict[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "fl_node.cli", *command],
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env={**os.environ, **(environment or {})},
        start_new_session=True,  # Ctrl-C reaches the demo only, which then stops its processes in order.
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
