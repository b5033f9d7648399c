"""`ganchor demo`: the whole loop on this machine, from an empty chain to an audited history.

It uses the same commands that a person would: the chain and every node are processes of their own.
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
from fl_node.cli.audit import run_audit
from fl_node.cli.demo.folder import new_folder
from fl_node.cli.demo.processes import running_chain, running_nodes
from fl_node.cli.demo.watching import watch
from fl_node.cli.exits import FindingsReported
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
"""Of each node in a round."""


def demo(
    nodes: Annotated[int, typer.Option(min=1, max=16, help="Number of nodes.")] = 3,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="Number of rounds.")] = 5,
    data: options.Data = "digits",
    workspace: Annotated[
        Path | None,
        typer.Option(
            help="Folder for everything it makes. Default: a new one in ganchor-workspace/."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Everything random follows from it.")] = 1,
    as_json: options.Json = False,
) -> None:
    """Run the whole loop on this machine: chain, contract, nodes, training, audit."""
    from fl_node.learning.task import load_data

    started = time.monotonic()
    place = Workspace(workspace or free_workspace(WORKSPACES))
    console = Console(stderr=as_json)
    signers = dev_accounts(seed, nodes)
    members = [address_of(signer) for signer in signers]
    look = replace(look_at(data), size=32)  # whatever the pictures: the demo is to be quick
    learner = LEARNERS[0].name()
    text = manifest_text(f"demo on {data}"[:200], seed, members, look, learner, rounds, STEPS)
    manifest = build_manifest(parse_toml(text))
    # Before anything is made, so that it fails early; and what is downloaded is there for every node.
    images = load_data(manifest, data)
    partition = UNEVEN if images.labels_N is not None else "iid"
    with new_folder(place, text):
        report, gas = train_and_audit(place, manifest, signers, data, partition, console)
        draw_samples(place, manifest, report)
        summary = write_reports(place, report, gas, round(time.monotonic() - started, 1))
    console.print(rounds_table(report.rounds, gas, held_out="KID held out"))
    print_audit(console, report)
    print_digests(console, report.rounds)
    describe(place, summary, f"--data {data} --partition {partition}", console)
    if as_json:
        typer.echo(json.dumps(summary))
    if report.findings:
        raise FindingsReported


def train_and_audit(
    place: Workspace,
    manifest: Manifest,
    signers: Sequence[Signer],
    data: str,
    partition: str,
    console: Console,
) -> tuple[AuditReport, dict[int, int]]:
    """Run chain and nodes until the task is finished, and audit it; the audit's report, and the gas of each round."""
    from fl_node.learning.task import derive_genesis

    with running_chain(place, signers) as rpc_url:
        console.print(f"chain    {rpc_url}, kept in {place.database}")
        ledger = deploy_contract(place, rpc_url, signers[0])
        console.print(f"contract {ledger.contract}")
        genesis = derive_genesis(manifest)
        task = open_task(ledger, open_store(str(place.store)), manifest, genesis).task
        console.print(
            f"task     {task}: {len(signers)} members, {manifest.rounds.count} rounds, "
            f"manifest {place.manifest}"
        )
        with running_nodes(place, rpc_url, task, signers, data, partition) as running:
            watch(ledger, task, manifest, running, console)
        report = run_audit(
            rpc_url,
            place.deployment,
            str(place.store),
            task,
            unreported="report.json is written from this audit",
            derive_genesis=True,
            quiet=True,
        )
        return report, gas_by_round(ledger, ledger.history(task))


def write_reports(
    place: Workspace, report: AuditReport, gas: dict[int, int], seconds: float
) -> dict[str, Any]:
    """Leave audit.json and report.json; give what `--json` prints."""
    reported = report_of(report, gas, seconds, str(place.folder.resolve()))
    write_whole(place.audit, json.dumps(report.to_json(), indent=1).encode(), b"\n")
    write_whole(place.report, reported.model_dump_json(indent=1).encode(), b"\n")
    return {**reported.model_dump(), "rounds": len(reported.rounds)}


def deploy_contract(place: Workspace, rpc_url: str, signer: Signer) -> Web3Ledger:
    """Deploy, and leave deployment.json."""
    write_deployment(place.deployment, deploy(rpc_url, signer))
    return wiring.connect(rpc_url, read_deployment(place.deployment), signer)


def draw_samples(place: Workspace, manifest: Manifest, report: AuditReport) -> None:
    """One picture grid for every final model, from the same noise."""
    from fl_node.learning.task import drawing_of

    draw = drawing_of(manifest)
    store = open_store(str(place.store))
    for one in report.rounds:
        digest = bytes.fromhex(one.aggregate_digest)
        model = load_model(store, digest, manifest.limits.model_bytes)
        draw(model.arrays, place.samples / f"round-{one.round:03}.png", 0)


def describe(
    place: Workspace, summary: dict[str, Any], data_options: str, console: Console
) -> None:
    """Say where everything is and how to go on."""
    console.print(f"audit {summary['audit']} after {summary['seconds']} s")
    for what, path in (
        ("pictures", place.samples),
        ("weights by sha256", place.store),
        ("chain", place.database),
        ("nodes", place.nodes),
        ("report", place.report),
        ("audit", place.audit),
    ):
        console.print(f"  {what:18} {path}", soft_wrap=True, markup=False)
    for what, words in (
        (
            "audit it again",
            f"audit --workspace {place.folder} --expect-head {summary['history_head']}",
        ),
        ("the same without a chain", f"simulate {place.manifest} {data_options}"),
        ("weights for PyTorch", f"export --workspace {place.folder} --out model.pt"),
    ):
        line = f"{what}: {follow_up(words)}"
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    print_head(console, summary["history_head"])
