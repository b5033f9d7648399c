"""`ganchor simulate`: the same training as a plain loop, with no chain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from chain.types import Address
from fl_node.blobs.store import open_store
from fl_node.cli import options
from fl_node.cli.tables import short
from fl_node.learner import StepProgress
from fl_node.manifest.manifest import read_manifest
from fl_node.member.simulation import simulate as run_rounds


def simulate(
    manifest_file: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="The manifest, in TOML.")
    ],
    data: options.Data = "digits",
    partition: options.Partition = options.DEFAULT_PARTITION,
    device: options.Device = None,
    threads: options.Threads = 1,
    out: Annotated[
        str | None, typer.Option("--store", help="Keep every round's model in this store.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Train a manifest's task in one process, with no chain. Same seeds, same bytes as the run on the chain."""
    from fl_node.learning import task

    manifest = read_manifest(manifest_file)
    members = manifest.addresses
    images = task.load_data(manifest, data)
    parts = {
        member: task.part_of(manifest, images, partition, index, len(members))
        for index, member in enumerate(members)
    }
    store = open_store(out) if out else None
    learners = {
        member: task.make_learner(manifest, part, device, threads, store)
        for member, part in parts.items()
    }
    console = Console(stderr=as_json)
    digests: list[str] = []
    shown = Console(stderr=True)
    with Progress(console=shown, transient=True, disable=as_json or not shown.is_terminal) as bars:
        rounds_bar = bars.add_task("rounds", total=manifest.rounds.count)
        steps_bar = bars.add_task("training", total=None)

        def progress_for(round: int, client: Address) -> StepProgress:
            bars.update(steps_bar, description=f"round {round} {short(client)}")
            return lambda step, steps, losses: bars.update(steps_bar, completed=step, total=steps)

        genesis = task.derive_genesis(manifest)
        for done in run_rounds(manifest, learners, genesis, progress_for=progress_for):
            digests.append(done.aggregated.digest.hex())
            if store:
                store.put(done.aggregated.blob)
            bars.update(rounds_bar, completed=done.round)
            if not as_json:
                console.print(f"round {done.round}: {digests[-1]}")
    if as_json:
        typer.echo(json.dumps({"rounds": digests, "final_digest": digests[-1]}))
