"""`ganchor export`: a model's weights as a file that other programs read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fl_node.cli import options
from fl_node.cli.subjects import Subject, find_subjects
from fl_node.errors import Misuse
from fl_node.manifest.manifest import Manifest

PYTORCH = (".pt", ".pth")
SAFETENSORS = ".safetensors"


def export(
    task: options.Task = 1,
    round: Annotated[
        str, typer.Option("--round", help="final, or a round's number; 0 is the genesis.")
    ] = "final",
    out: Annotated[
        Path,
        typer.Option(help="The file: .safetensors, or .pt for a PyTorch state dict."),
    ] = Path("model.safetensors"),
    store: options.StoreUrl = options.DEFAULT_STORE,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    workspace: options.WorkspaceFolder = None,
    manifest: options.ModelsManifest = None,
    model: options.ModelFiles = None,
    as_json: options.Json = False,
) -> None:
    """Write a model's weights for PyTorch or anything that reads safetensors, and print the Python that loads them."""
    if out.suffix not in (SAFETENSORS, *PYTORCH):
        raise Misuse(f"--out is {out}; allowed endings: {SAFETENSORS}, {', '.join(PYTORCH)}")
    subjects = find_subjects(workspace, rpc_url, deployment, store, task, round, manifest, model)
    if len(subjects.models) != 1:
        raise Misuse(f"one model goes into one file; --round {round!r} names several")
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
    """Whole or not at all."""
    arrays, draft = subject.load(), path.with_name(f".{path.name}.part")
    try:
        if path.suffix in PYTORCH:
            from fl_node.learning.export import write_state_dict

            write_state_dict(arrays, draft)
        else:
            from safetensors.numpy import save

            draft.write_bytes(save(dict(arrays)))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def loading_lines(manifest: Manifest, subject: Subject, path: Path) -> list[str]:
    """Lines of Python that read the file, make the networks, and use them."""
    from fl_node.learning import GanOptions, learning_options
    from fl_node.learning.export import described

    options = learning_options(manifest)
    reading = (
        ["import torch", f"weights = torch.load({str(path)!r}, weights_only=True)"]
        if path.suffix in PYTORCH
        else [
            "import torch",
            "from safetensors.torch import load_file",
            f"weights = load_file({str(path)!r})",
        ]
    )
    lines = [
        *reading,
        "",
        f"from fl_node.learning import {type(options).__name__}",
        "from fl_node.learning.export import network",
        f"model = network({described(options)})",
        "model.load_state_dict(weights, strict=False)  # without the tensors that members keep to themselves",
    ]
    parts = {name.partition(".")[0] for name in subject.load()}
    if isinstance(options, GanOptions):
        generator = next((part for part in ("generator_ema", "generator") if part in parts), None)
        drawn = f'pictures = model["{generator}"].eval()(torch.randn(64, {options.latent}))'
        shape = f"# (64, {options.channels}, {options.size}, {options.size}), values from -1 to 1"
        return [*lines, f"{drawn}  {shape}"] if generator else lines
    pictures = f"torch.rand(8, {options.channels}, {options.size}, {options.size}) * 2 - 1"
    return [*lines, f'logits = model["head"](model["base"].eval()({pictures}))']
