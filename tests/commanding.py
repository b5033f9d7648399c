"""Running the command line in this process, and a small federation to run it against."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from doubles import DriftingLearner, small_genesis, small_manifest

from chain.accounts import Signer, address_of, dev_account
from chain.deploy import deploy, read_deployment, write_deployment
from chain.types import Address, UpdateRevealed
from chain.web3_ledger import Web3Ledger
from fl_node.arrays import Arrays
from fl_node.blobs.store import open_store
from fl_node.cli import wiring
from fl_node.cli.app import app, run
from fl_node.cli.workspace import Workspace
from fl_node.member.next_action import Action
from fl_node.member.opening import open_task
from fl_node.member.participant import Participant
from fl_node.member.state import Membership, NodeState
from fl_node.member.waiting import patiently

SEED = 21
MEMBERS: list[Signer] = sorted(
    (dev_account(SEED, index) for index in range(2)), key=lambda signer: int(signer.address, 16)
)
STRANGER, POOR = dev_account(SEED, 2), dev_account(SEED, 3)

MANIFEST = f"""\
name = "test"
seed = 5
members = ["{address_of(MEMBERS[0])}", "{address_of(MEMBERS[1])}"]

[learner]
generator_width = 4
discriminator_width = 4

[strategy]
work = {{ steps = 1 }}

[rounds]
count = 2
"""


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


Ganchor = Callable[..., Outcome]


def runner(capsys: pytest.CaptureFixture[str]) -> Ganchor:
    """Runs `ganchor` with these words, as `fl_node.cli.main` does."""

    def ganchor(*words: object) -> Outcome:
        with pytest.raises(SystemExit) as ended:
            run(lambda: app([str(word) for word in words], prog_name="ganchor"))
        captured = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), captured.out, captured.err)

    return ganchor


def key_of(signer: Signer) -> str:
    """What GANCHOR_PRIVATE_KEY holds on a dev chain."""
    return "0x" + bytes(signer.key).hex()


def finished_task(
    rpc_url: str,
    place: Workspace,
    genesis: Arrays | None = None,
    drift: int = 1,
    notice: Callable[[Exception], None] | None = None,
    **changes: Any,
) -> int:
    """Deploy, open a task of two members, and let both take part to its end.

    Args:
        rpc_url: Of a chain on which the members have ether.
        place: Gets deployment, store and nodes.
        genesis: Two small tensors where it is None.
        drift: Another history comes out for another.
        notice: Told about troubles, which are then waited out for a minute; without it they are raised.
        changes: Sections of the manifest, as for `small_manifest`.
    """
    write_deployment(place.deployment, deploy(rpc_url, STRANGER))
    deployed = read_deployment(place.deployment)
    ledgers = [wiring.connect(rpc_url, deployed, signer) for signer in MEMBERS]
    manifest = small_manifest(tuple(address_of(signer) for signer in MEMBERS), **changes)
    store = open_store(place.store)
    task = open_task(ledgers[0], store, manifest, genesis or small_genesis()).task
    nodes = [
        Participant(
            ledger,
            store,
            DriftingLearner(index + drift),
            task,
            manifest,
            state_folder(place.nodes / str(index), ledger, task, ledger.account),
        )
        for index, ledger in enumerate(ledgers)
    ]
    patience = 60 if notice else 0
    for _ in range(50):
        steps = [patiently(node.step, notice or print, patience, 0.01) for node in nodes]
        if {step.action for step in steps} == {Action.FINISHED}:
            return task
    raise AssertionError("the task did not finish")


def state_folder(folder: Path, ledger: Web3Ledger, task: int, client: Address) -> NodeState:
    """A node's folder, its lock let go."""
    state = NodeState(folder, Membership(ledger.chain_id, ledger.contract, task, client))
    state.close()
    return state


@dataclass(frozen=True)
class Live:
    """A running chain with a finished task and one that is open, and the folder that belongs to them."""

    url: str
    place: Workspace
    finished: int
    open: int

    @property
    def chain_options(self) -> list[str]:
        return ["--rpc-url", self.url, "--deployment", str(self.place.deployment)]

    @property
    def options(self) -> list[str]:
        return [*self.chain_options, "--store", str(self.place.store)]

    def through(self, url: str) -> Live:
        """The same, reached by another URL, such as a proxy's."""
        return replace(self, url=url)

    def ledger(self) -> Web3Ledger:
        return wiring.open_ledger(self.url, self.place.deployment)

    def reveals(self) -> list[UpdateRevealed]:
        events = (entry.event for entry in self.ledger().history(self.finished))
        return [event for event in events if isinstance(event, UpdateRevealed)]


@contextmanager
def no_larger_files(limit: int) -> Iterator[None]:
    """As on a full disk: no file of this process may grow beyond `limit` bytes.

    Imports write no bytecode meanwhile: it would be cut off, and break every later process that reads it.
    """
    resource: Any = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    writes_bytecode = not sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        sys.dont_write_bytecode = not writes_bytecode


def clean_environment(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """An empty folder to work in, and none of the variables that the commands read, but for this worker's own cache."""
    monkeypatch.chdir(folder)
    for name in [*os.environ]:
        if name.startswith(("GANCHOR_", "ETH_RPC")) and name != "GANCHOR_CACHE":
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
