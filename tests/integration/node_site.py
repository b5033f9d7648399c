"""A chain and nodes as processes, for tests of nodes whose learner is a process, too."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from running import signers

from chain.accounts import address_of
from chain.deploy import Deployment
from fl_node.cli.wiring import connect

GANCHOR = [sys.executable, "-m", "fl_node.cli"]
PATIENCE = 120.0


class Site:
    """A devnet, and the processes of three nodes.

    Attributes:
        folder: Gets the chain's file and the nodes' logs.
        deployment, task: What a subclass opens.
    """

    deployment: Deployment
    task: int

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start_chain(self) -> None:
        funded = [word for signer in signers(3) for word in ("--fund", address_of(signer))]
        database = ("--database", str(self.folder / "chain.sqlite"))
        devnet = subprocess.Popen(
            [*GANCHOR, "devnet", "--port", str(self.port), *database, *funded],
            stdout=subprocess.PIPE,
        )
        self.processes["chain"] = devnet
        assert devnet.stdout is not None
        with devnet.stdout as ready:
            url = json.loads(ready.readline())["url"]
        self.port = int(url.rpartition(":")[2])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kill(self, name: str) -> None:
        process = self.processes[name]
        process.send_signal(signal.SIGKILL)
        process.wait()

    def state(self) -> Any:
        return connect(self.url, self.deployment).task_state(self.task)

    def said(self, index: int, event: str) -> int:
        """How often a node has said something."""
        path = self.folder / f"node-{index}.log"
        return path.read_text().count(f'"event": "{event}"') if path.exists() else 0

    def wait_until_nodes_end(self) -> None:
        for index in range(3):
            code = self.processes[f"node-{index}"].wait(PATIENCE)
            assert code == 0, (self.folder / f"node-{index}.log").read_text()

    def stop(self) -> None:
        for process in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait()


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
