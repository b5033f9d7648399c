"""`ganchor demo`: the whole loop on this machine, from an empty chain to an audited history.

It uses the same commands that a person would: the chain and every node are processes of their own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from chain.accounts import Signer, address_of, dev_accounts
from chain.deploy import deploy, read_deployment, write_deployment
from chain.types import Address
from chain.web3_ledger import Web3Ledger
from fl_node.audit import AuditReport
from fl_node.audit.reported import gas_by_round, report_of
from fl_node.blobs.model import load_model
from fl_node.blobs.store import open_store
from fl_node.cli import options, wiring
from fl_node.cli.audit import WITH_FINDINGS, run_audit
from fl_node.cli.demo.processes import running_chain, running_nodes
from fl_node.cli.demo.watching import watch
from fl_node.cli.tables import print_audit, print_head, rounds_table
from fl_node.cli.workspace import Workspace, free_workspace
from fl_node.manifest.manifest import Manifest, read_manifest
from fl_node.member.opening import open_task

WORKSPACES = Path("ganchor-workspace")
UNEVEN = "dirichlet:0.5"


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
    from fl_node.learning.task import derive_genesis, load_data

    started = time.monotonic()
    place = Workspace(workspace or free_workspace(WORKSPACES))
    place.create()
    console = Console(stderr=as_json)
    signers = dev_accounts(seed, nodes)
    write_manifest(place.manifest, [address_of(signer) for signer in signers], rounds, seed, data)
    manifest = read_manifest(place.manifest)
    # Here first, so that it fails early, and is downloaded once rather than by every node.
    images = load_data(manifest, data)
    partition = UNEVEN if images.labels_N is not None else "iid"
    with running_chain(place, signers) as rpc_url:
        console.print(f"chain    {rpc_url}, kept in {place.database}")
        ledger = deploy_contract(place, rpc_url, signers[0])
        console.print(f"contract {ledger.contract}")
        genesis = derive_genesis(manifest)
        task = open_task(ledger, open_store(str(place.store)), manifest, genesis).task
        console.print(
            f"task     {task}: {nodes} members, {rounds} rounds, manifest {place.manifest}"
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
        gas = gas_by_round(ledger, ledger.history(task))
    seconds = round(time.monotonic() - started, 1)
    draw_samples(place, manifest, report)
    summary = write_reports(place, report, gas, seconds)
    console.print(rounds_table(report.rounds, gas, held_out="KID held out"))
    print_audit(console, report)
    describe(place, summary, console)
    if as_json:
        typer.echo(json.dumps(summary))
    if report.findings:
        raise typer.Exit(WITH_FINDINGS)


def write_reports(
    place: Workspace, report: AuditReport, gas: dict[int, int], seconds: float
) -> dict[str, Any]:
    """Leave audit.json and report.json; give what `--json` prints."""
    reported = report_of(report, gas, seconds, str(place.folder.resolve()))
    place.audit.write_text(json.dumps(report.to_json(), indent=1) + "\n")
    place.report.write_text(reported.model_dump_json(indent=1) + "\n")
    return {**reported.model_dump(), "rounds": len(reported.rounds)}


def write_manifest(
    path: Path, members: Sequence[Address], rounds: int, seed: int, data: str
) -> None:
    """Write the demo's manifest, as a person would, in TOML."""
    channels = 1 if data in {"digits", "mnist", "fashion-mnist"} else 3
    listed = "".join(f'    "{member}",\n' for member in members)
    least = min(2, len(members))
    path.write_text(
        f"""\
# A task of `ganchor demo`. Every field: docs/manifest.md
name = "demo on {data.replace(chr(34), "").replace(chr(92), "/")}"
seed = {seed}
members = [
{listed}]

[data]
channels = {channels}
size = 32

[learner]
kind = "gan"
generator_width = 32
discriminator_width = 32
generator_rate = 0.002
discriminator_rate = 0.002
ema_half_life = 30

[strategy]
preset = "fedavg"
share = ["*"]
work = {{ steps = 120 }}

[rounds]
count = {rounds}
commit_window = 3600
reveal_window = 600
attest_window = 600
cohort_floor = {least}
min_updates = {least}
"""
    )


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


def describe(place: Workspace, summary: dict[str, Any], console: Console) -> None:
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
    console.print(
        f"audit it again: ganchor audit --workspace {place.folder}", soft_wrap=True, markup=False
    )
    print_head(console, summary["history_head"])
