"""`ganchor samples`: pictures that a task's models draw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from fl_node.cli import options
from fl_node.cli.subjects import Subject, find_subjects, verify_pictures


def samples(
    task: options.Task = 1,
    rounds: options.Rounds = "final",
    out: Annotated[Path, typer.Option(help="Folder for the pictures; created if needed.")] = Path(
        "samples"
    ),
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the noise that the pictures are drawn from.")
    ] = 0,
    store: options.StoreUrl = options.DEFAULT_STORE,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    workspace: options.WorkspaceFolder = None,
    manifest: options.ModelsManifest = None,
    model: options.ModelFiles = None,
    as_json: options.Json = False,
) -> None:
    """Draw 64 pictures from each of a task's models into a PNG file. All models get the same noise."""
    from fl_node.learning.task import drawing_of

    subjects = find_subjects(workspace, rpc_url, deployment, store, task, rounds, manifest, model)
    verify_pictures(subjects.manifest)
    draw = drawing_of(subjects.manifest)
    out.mkdir(parents=True, exist_ok=True)
    for subject in subjects.models:
        path = out / f"{_name(subject)}.png"
        draw(subject.load(), path, seed)
        drawn = {"round": subject.round, "digest": subject.digest, "file": str(path)}
        typer.echo(json.dumps(drawn) if as_json else path)


def _name(subject: Subject) -> str:
    return subject.name if subject.round is None else f"round-{subject.round:03}"
