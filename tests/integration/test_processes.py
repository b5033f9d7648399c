"""Real processes, killed for real: the history goes on, and ends where an undisturbed one ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from running import PARTITION, signers, tiny_manifest
from test_same_bytes import simulated

from chain.accounts import address_of
from chain.deploy import Deployment, deploy, write_deployment
from chain.types import Phase
from fl_node.blobs.store import open_store
from fl_node.cli.wiring import connect
from fl_node.learning.task import derive_genesis
from fl_node.manifest.manifest import Manifest
from fl_node.member.opening import open_task

pytestmark = pytest.mark.slow
GANCHOR = [sys.executable, "-m", "fl_node.cli"]
PATIENCE = 120.0
MANIFEST = tiny_manifest(
    rounds={"count": 3},
    strategy={"share": ["generator.*"], "work": {"steps": 20}},
)


class Site:
    """A devnet, three nodes, and the means to kill and start each of them."""

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

    def open(self, manifest: Manifest) -> None:
        signer = signers(3)[0]
        self.deployment: Deployment = deploy(self.url, signer)
        write_deployment(self.folder / "deployment.json", self.deployment)
        self.store = open_store(self.folder / "store")
        ledger = connect(self.url, self.deployment, signer)
        self.task = open_task(ledger, self.store, manifest, derive_genesis(manifest)).task

    def start_node(self, index: int) -> None:
        key = "0x" + bytes(signers(3)[index].key).hex()
        with (self.folder / f"node-{index}.log").open("ab") as log:
            self.processes[f"node-{index}"] = subprocess.Popen(
                [
                    *(*GANCHOR, "node", "--log-format", "json", "--rpc-url", self.url),
                    *("--device", "cpu"),
                    *("--deployment", str(self.folder / "deployment.json")),
                    *("--store", str(self.folder / "store")),
                    *("--state", str(self.folder / f"state-{index}")),
                    *("--partition", PARTITION, "--part", f"{index + 1}/3"),
                    *("--poll", "0.1", "--patience", str(PATIENCE)),
                ],
                stdout=log,
                stderr=log,
                env={**os.environ, "GANCHOR_PRIVATE_KEY": key},
            )

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


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    try:
        site.start_chain()
        site.open(MANIFEST)
        yield site
    finally:
        site.stop()


@pytest.fixture(scope="module")
def undisturbed() -> bytes:
    """The digest that the task must end with, from a plain loop in this process."""
    return simulated(MANIFEST)[-1].aggregated.digest


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


KILLS = [
    *((0, "training", 1), (1, "commit", 1), (2, "reveal", 1)),
    *((2, "training", None), (0, "commit", 2), (1, "reveal", 2)),
]
"""Node, event, and how often the node must have said it; None: once more than when it was killed last."""


def test_nodes_killed_at_any_point_again_and_again_end_with_the_same_model(
    site: Site, undisturbed: bytes
) -> None:
    for index in range(3):
        site.start_node(index)
    before = 0
    for victim, event, times in KILLS:
        least = before + 1 if times is None else times
        wait_for(lambda victim=victim, event=event, least=least: site.said(victim, event) >= least)
        site.kill(f"node-{victim}")
        before = site.said(victim, "training")
        site.start_node(victim)
    site.wait_until_nodes_end()
    assert site.state().parent_digest == undisturbed


def test_the_chain_killed_and_started_again(site: Site, undisturbed: bytes) -> None:
    for index in range(3):
        site.start_node(index)
    wait_for(lambda: site.said(0, "commit"))
    site.kill("chain")
    wait_for(lambda: site.said(0, "waiting"))
    site.start_chain()
    site.wait_until_nodes_end()
    state = site.state()
    assert state.phase is Phase.FINISHED
    assert state.parent_digest == undisturbed
