"""`ganchor demo`: the whole loop on this machine, from an empty chain to an audited history.

It runs the same commands that a user would: the chain and every node are separate processes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from chain.accounts import Signer, address_of, dev_accounts
from chain.deploy import deploy, read_deployment, write_deployment
from chain.files import write_whole
from chain.web3_ledger import Web3Ledger
from fl_node.audit import AuditReport
from fl_node.audit.reported import gas_by_round, report_of
from fl_node.blobs.model import load_model
from fl_node.blobs.store import open_store
from fl_node.cli import options, wiring
from fl_node.cli.audit import run_audit, task_on_chain
from fl_node.cli.demo.folder import new_folder
from fl_node.cli.demo.processes import running_chain, running_nodes
from fl_node.cli.demo.watching import watch
from fl_node.cli.exits import FindingsReported
from fl_node.cli.explore import show
from fl_node.cli.manifest import manifest_text
from fl_node.cli.pictures import look_at
from fl_node.cli.tables import print_audit, print_digests, print_head, rounds_table
from fl_node.cli.words import follow_up
from fl_node.cli.workspace import Workspace, free_workspace
from fl_node.manifest.bounds import parse_toml
from fl_node.manifest.learners import LEARNERS
from fl_node.manifest.manifest import Manifest, build_manifest
from fl_node.member.opening import open_task

WORKSPACES = Path("ganchor-workspace")
UNEVEN = "dirichlet:0.5"
STEPS = 120
"""Optimiser steps of each node in a round."""


def demo(
    nodes: Annotated[int, typer.Option(min=1, max=16, help="Number of nodes.")] = 3,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="Number of rounds.")] = 5,
    data: options.Data = "digits",
    folder: Annotated[
        Path | None,
        typer.Option(
            "--workspace",
            help="Folder for all results. Default: a new one in ganchor-workspace/.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all randomness.")] = 1,
    device: options.RepeatableDevice = "cpu",
    explore: Annotated[
        bool,
        typer.Option("--explore", help="At the end, serve a page that shows and verifies it all."),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Run the whole loop on this machine: chain, contract, nodes, training, audit."""
    from fl_node.learning.task import load_data

    started = time.monotonic()
    workspace = Workspace(folder or free_workspace(WORKSPACES))
    console = Console(stderr=as_json)
    signers = dev_accounts(seed, nodes)
    members = [address_of(signer) for signer in signers]
    look = replace(look_at(data), size=32)  # The demo is to be quick with any pictures.
    learner = LEARNERS[0].name()
    text = manifest_text(f"demo on {data}"[:200], seed, members, look, learner, rounds, STEPS)
    manifest = build_manifest(parse_toml(text))
    # Load first, to fail early; and a download is then there for every node.
    images = load_data(manifest, data)
    partition = UNEVEN if images.labels_N is not None else "iid"
    with new_folder(workspace, text):
        training = ["--data", data, "--partition", partition, "--device", device]
        report, gas = train_and_audit(workspace, manifest, signers, training, console)
        draw_samples(workspace, manifest, report)
        summary = write_reports(workspace, report, gas, round(time.monotonic() - started, 1))
    console.print(rounds_table(report.rounds, gas, held_out="KID held out"))
    print_audit(console, report)
    print_digests(console, report.rounds)
    describe(workspace, summary, f"--data {data} --partition {partition}", console)
    if as_json:
        typer.echo(json.dumps(summary))
    if explore:
        with wiring.evidence(workspace.folder, [], workspace.deployment) as evidence:
            show(evidence, report.task, workspace.folder)
    if report.findings:
        raise FindingsReported


def train_and_audit(
    workspace: Workspace,
    manifest: Manifest,
    signers: Sequence[Signer],
    training: Sequence[str],
    console: Console,
) -> tuple[AuditReport, dict[int, int]]:
    """Run chain and nodes until the task is finished; returns the audit's report, and the gas of each round.

    The nodes get the options in `training`, such as `--data digits`.
    """
    from fl_node.learning.task import derive_genesis

    with running_chain(workspace, signers) as rpc_url:
        console.print(f"chain    {rpc_url}, kept in {workspace.database}")
        ledger = deploy_contract(workspace, rpc_url, signers[0])
        console.print(f"contract {ledger.contract}")
        genesis = derive_genesis(manifest)
        task = open_task(ledger, open_store(str(workspace.store)), manifest, genesis).task
        console.print(
            f"task     {task}: {len(signers)} members, {manifest.rounds.count} rounds, "
            f"manifest {workspace.manifest}"
        )
        with running_nodes(workspace, rpc_url, task, signers, training) as running:
            watch(ledger, task, manifest, running, console)
        report = run_audit(
            task_on_chain(rpc_url, workspace.deployment, str(workspace.store), task),
            unreported="report.json is written from this audit",
            derive_genesis=True,
            quiet=True,
        )
        return report, gas_by_round(ledger, ledger.history(task))


def write_reports(
    workspace: Workspace, report: AuditReport, gas: dict[int, int], seconds: float
) -> dict[str, Any]:
    """Write audit.json and report.json; returns what `--json` prints."""
    reported = report_of(report, gas, seconds, str(workspace.folder.resolve()))
    write_whole(workspace.audit, json.dumps(report.to_json(), indent=1).encode(), b"\n")
    write_whole(workspace.report, reported.model_dump_json(indent=1).encode(), b"\n")
    return {**reported.model_dump(), "rounds": len(reported.rounds)}


def deploy_contract(workspace: Workspace, rpc_url: str, signer: Signer) -> Web3Ledger:
    """Deploy the contract and write deployment.json."""
    write_deployment(workspace.deployment, deploy(rpc_url, signer))
    return wiring.connect(rpc_url, read_deployment(workspace.deployment), signer)


def draw_samples(workspace: Workspace, manifest: Manifest, report: AuditReport) -> None:
    """Draw a grid of pictures from every final model, with the same noise."""
    from fl_node.learning.task import drawing_of

    draw = drawing_of(manifest)
    store = open_store(str(workspace.store))
    for audited in report.rounds:
        digest = bytes.fromhex(audited.aggregate_digest)
        model = load_model(store, digest, manifest.limits.model_bytes)
        draw(model.arrays, workspace.picture(audited.round), 0)


def describe(
    workspace: Workspace, summary: dict[str, Any], data_options: str, console: Console
) -> None:
    """Print where the results are and which commands to try next."""
    console.print(f"audit {summary['audit']} after {summary['seconds']} s")
    for label, path in (
        ("pictures", workspace.samples),
        ("weights by sha256", workspace.store),
        ("chain", workspace.database),
        ("nodes", workspace.nodes),
        ("report", workspace.report),
        ("audit", workspace.audit),
    ):
        console.print(f"  {label:18} {path}", soft_wrap=True, markup=False)
    for label, words in (
        ("look at it, verified by your browser", f"explore --workspace {workspace.folder}"),
        (
            "audit it again",
            f"audit --workspace {workspace.folder} --expect-head {summary['history_head']}",
        ),
        ("the same without a chain", f"simulate {workspace.manifest} {data_options}"),
        ("weights for PyTorch", f"weights --workspace {workspace.folder} --out model.pt"),
    ):
        line = f"{label}: {follow_up(words)}"
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    print_head(console, summary["history_head"])
