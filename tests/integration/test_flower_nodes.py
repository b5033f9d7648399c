"""A Flower app, unmodified and without a server, on a real chain: three nodes, one killed, and a clean audit.

The app needs no torch, and keeps a counter in its `Context.state`: what it returns depends on how often it has trained.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("flwr")

from node_site import GANCHOR, PATIENCE, Site, wait_for
from running import signers

from chain.accounts import address_of
from chain.deploy import deploy, write_deployment
from fl_node.audit import audit
from fl_node.audit.report import AuditReport
from fl_node.blobs.model import decode_model
from fl_node.blobs.store import open_store
from fl_node.cli.wiring import connect
from fl_node.manifest.manifest import Manifest
from fl_node.manifest.packing import read_draft
from fl_node.member.opening import open_task
from fl_node.member.own_code import Turns, completed, own_code
from fl_node.member.simulation import simulate

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PROJECT = """
[project]
name = "tallying"

[tool.flwr.app.components]
clientapp = "tallying.client_app:app"

[tool.flwr.app.config]
step = 1.0
"""
APP = '''
import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp


def doubling(message, context, call_next):
    """A mod: twice as many examples."""
    reply = call_next(message, context)
    if message.metadata.message_type == "train":
        reply.content["metrics"]["num-examples"] *= 2
    return reply


app = ClientApp(mods=[doubling])


def first():
    return {"count": np.array(0), "scale": np.array(1.0, np.float32), "w": np.zeros((2, 3), np.float32)}


@app.train()
def train(message, context):
    tally = context.state.setdefault("tally", MetricRecord({"rounds": 0}))
    tally["rounds"] += 1
    move = message.content["config"]["step"] * tally["rounds"] + np.random.standard_normal()
    arrays = {name: array.numpy() for name, array in message.content["arrays"].items()}
    moved = {name: Array(np.asarray(array + move, array.dtype)) for name, array in arrays.items()}
    examples = 1 + context.node_config["partition-id"]
    metrics = MetricRecord({"num-examples": examples, "loss": 1.0, "rounds": tally["rounds"]})
    return Message(RecordDict({"arrays": ArrayRecord(moved), "metrics": metrics}), reply_to=message)


@app.evaluate()
def evaluate(message, context):
    w = message.content["arrays"]["w"].numpy()
    metrics = {"eval_loss": float(np.abs(w - 9).mean()), "site": context.node_config["partition-id"]}
    return Message(RecordDict({"metrics": MetricRecord(metrics)}), reply_to=message)
'''
MANIFEST = """
name = "a tally"
seed = 5
members = {members}

[learner]
kind = "flower"
code = "app"
genesis = "tallying.client_app:first"
knobs = {{ step = 0.5 }}
metrics = ["rounds", "site", "none"]
requires = ["flwr>=1.42", "numpy"]
losses = {{ training = "loss", held_out = "eval_loss" }}

[rounds]
count = 2
"""


class FlowerSite(Site):
    """A devnet, and three nodes that run the app."""

    def open_app(self) -> None:
        """Write the app and a manifest, and open its task."""
        package = self.folder / "app" / "tallying"
        package.mkdir(parents=True)
        (self.folder / "app" / "pyproject.toml").write_text(PROJECT)
        (package / "__init__.py").touch()
        (package / "client_app.py").write_text(APP)
        members = [address_of(signer) for signer in signers(3)]
        (self.folder / "task.toml").write_text(MANIFEST.format(members=members))
        self.draft = completed(read_draft(self.folder / "task.toml"))
        self.open(self.draft.manifest)

    def open(self, manifest: Manifest) -> None:
        signer = signers(3)[0]
        self.deployment = deploy(self.url, signer)
        write_deployment(self.folder / "deployment.json", self.deployment)
        self.store = open_store(self.folder / "store")
        for blob in self.draft.blobs:
            self.store.put(blob)
        ledger = connect(self.url, self.deployment, signer)
        own = own_code(self.draft, manifest.learner, self.store, ())
        self.task = open_task(ledger, self.store, manifest, own.genesis).task

    def start_node(self, index: int, *consent: str) -> None:
        """Start a node that allows the task's code as it is told, or else by its digest."""
        key = "0x" + bytes(signers(3)[index].key).hex()
        (self.folder / "tmp").mkdir(exist_ok=True)
        with (self.folder / f"node-{index}.log").open("ab") as log:
            self.processes[f"node-{index}"] = subprocess.Popen(
                [
                    *(*GANCHOR, "node", "--log-format", "json", "--rpc-url", self.url),
                    *("--device", "cpu"),
                    *("--deployment", str(self.folder / "deployment.json")),
                    *("--store", str(self.folder / "store")),
                    *("--state", str(self.folder / f"state-{index}")),
                    *("--partition", "iid", "--poll", "0.1", "--patience", str(PATIENCE)),
                    *(consent or ("--allow-code", self.draft.manifest.learner.code)),
                ],
                stdout=log,
                stderr=log,
                env={
                    **os.environ,
                    "GANCHOR_PRIVATE_KEY": key,
                    "TMPDIR": str(self.folder / "tmp"),
                },
            )

    def audited(self) -> AuditReport:
        return audit(lambda: connect(self.url, self.deployment), self.store, self.task)

    def simulated(self) -> list[bytes]:
        """The digest of the model after each round, from a plain loop without a chain."""
        own = own_code(self.draft, self.draft.manifest.learner, self.store, ())
        with Turns() as turns:
            learners = {
                member: turns.learner(own.on("", index=index, count=3))
                for index, member in enumerate(self.draft.manifest.addresses)
            }
            rounds = simulate(self.draft.manifest, learners, own.genesis)
            return [one.aggregated.digest for one in rounds]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[FlowerSite]:
    site = FlowerSite(tmp_path)
    try:
        site.start_chain()
        site.open_app()
        yield site
    finally:
        site.stop()


def test_three_nodes_run_an_app_one_is_killed_and_the_audit_is_clean(site: FlowerSite) -> None:
    site.start_node(0, "--flower", str(site.folder / "app"))
    site.start_node(1)
    site.start_node(2)
    wait_for(lambda: site.said(1, "reveal") >= 1)
    site.kill("node-1")
    site.start_node(1)
    site.wait_until_nodes_end()

    report = site.audited()
    assert report.verdict == "clean", report
    assert site.state().parent_digest == site.simulated()[-1]
    last = decode_model(site.store.get(site.state().parent_digest, 1 << 20))
    assert (last["count"].shape, last["count"].dtype, int(last["count"])) == ((), np.int64, 0)
    for one in report.rounds:
        updates = sorted(one.updates, key=lambda update: update.client)
        assert [update.num_examples for update in updates] == [2, 4, 6]  # The mod doubles them.
        # All three took part in every round, so that each state has counted as many.
        assert [update.metrics for update in updates] == [
            {"none": None, "rounds": str(one.round), "site": str(site)} for site in range(3)
        ]
        assert one.metrics == {"none": None, "rounds": str(one.round), "site": "1.333333333"}
    assert children_under(site.folder) == []


def test_a_node_runs_neither_an_app_unasked_nor_another_one(site: FlowerSite) -> None:
    site.start_node(0, "--dry-run")
    (site.folder / "app" / "tallying" / "more.py").write_text("x = 1")
    site.start_node(1, "--flower", str(site.folder / "app"))

    assert [site.processes[f"node-{index}"].wait(PATIENCE) for index in range(2)] == [2, 2]
    unasked, another = ((site.folder / f"node-{index}.log").read_text() for index in range(2))
    assert f"--allow-code {site.draft.manifest.learner.code}" in unasked
    assert "but the task runs" in another
    assert "Traceback" not in unasked + another


def children_under(folder: Path) -> list[str]:
    """The command lines of living child processes whose temporary folder lies in a folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command = place.read_bytes().replace(b"\0", b" ").decode()
            if "fl_node.child" in command and str(folder) in command:
                found.append(command)
    return found
