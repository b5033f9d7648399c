"""`ganchor weights`: a model's weights as a file that other programs read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from chain.files import write_whole
from fl_node.blobs.model import encode_model
from fl_node.cli import options
from fl_node.cli.subjects import Subject, find_subjects
from fl_node.errors import Misuse
from fl_node.fields import Section
from fl_node.manifest.code_learners import CodeLearner
from fl_node.manifest.manifest import Manifest

PYTORCH = (".pt", ".pth")
SAFETENSORS = ".safetensors"


def weights(
    task: options.Task = 1,
    round: Annotated[
        str, typer.Option("--round", help="final, or a round's number; 0 is the genesis model.")
    ] = "final",
    out: Annotated[
        Path,
        typer.Option(help="File to write: .safetensors, or .pt for a PyTorch state dict."),
    ] = Path("model.safetensors"),
    store: options.StoreUrl = options.DEFAULT_STORE,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    workspace: options.WorkspaceFolder = None,
    manifest: options.ModelsManifest = None,
    model: options.ModelFiles = None,
    as_json: options.Json = False,
) -> None:
    """Write a model's weights as safetensors or for PyTorch, and print the Python code that loads them."""
    if out.suffix not in (SAFETENSORS, *PYTORCH):
        raise Misuse(f"--out is {out}; allowed endings: {SAFETENSORS}, {', '.join(PYTORCH)}")
    subjects = find_subjects(workspace, rpc_url, deployment, store, task, round, manifest, model)
    if len(subjects.models) != 1:
        raise Misuse(f"a file holds one model, but --round {round!r} names several")
    (subject,) = subjects.models
    _write(subject, out)
    python = loading_lines(subjects.manifest, subject, out)
    if as_json:
        named = {"round": subject.round, "digest": subject.digest, "file": str(out)}
        typer.echo(json.dumps({**named, "python": python}))
        return
    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.print(f"wrote {out}: {subject.title}, digest {subject.digest}")
    console.print("load it with", "", *python, sep="\n")


def _write(subject: Subject, path: Path) -> None:
    arrays = subject.load()
    if path.suffix in PYTORCH:
        from fl_node.learning.export import state_dict_file

        write_whole(path, state_dict_file(arrays))
    else:
        write_whole(path, encode_model(arrays))


def loading_lines(manifest: Manifest, subject: Subject, path: Path) -> list[str]:
    """Python code that reads the file and, for a learner of this package, builds the networks and uses them."""
    reading = _reading_lines(path)
    if isinstance(manifest.learner, CodeLearner):
        return reading
    from fl_node.learning import kind_of, learning_options

    options = learning_options(manifest)
    return [
        *reading,
        "",
        "from fl_node import build_networks",
        f"from fl_node.manifest.learners import {type(manifest.learner).__name__}",
        "from fl_node.manifest.manifest import DataSchema",
        f"data, learner = {_as_python(manifest.data)}, {_as_python(manifest.learner)}",
        "model = build_networks(data, learner, weights)",
        *kind_of(options).usage(options, {name.partition(".")[0] for name in subject.load()}),
    ]


def _reading_lines(path: Path) -> list[str]:
    if path.suffix in PYTORCH:
        return [
            "import torch",
            f"state = torch.load({str(path)!r}, weights_only=True)",
            "weights = {name: tensor.numpy() for name, tensor in state.items()}",
        ]
    return [
        "import torch",
        "from safetensors.numpy import load_file",
        f"weights = load_file({str(path)!r})",
    ]


def _as_python(section: Section) -> str:
    """Python code for a section of the manifest, without its default values."""
    given = section.model_dump(mode="json", exclude_defaults=True).items()
    return f"{type(section).__name__}({', '.join(f'{name}={value!r}' for name, value in given)})"
