"""The sections of a manifest for one's own code, with comments, as `ganchor manifest new` writes them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from fl_node.errors import Misuse


@dataclass(frozen=True, slots=True)
class Own:
    """A model of one's own that a manifest is written for.

    Attributes:
        kind: `module` or `flower`.
        code: The path of the code.
        entry: `module:name`; None for a Flower app whose pyproject.toml names it.
        genesis: What makes or holds the first model, as `learner.genesis` is written; None for the code's own `build`.
    """

    kind: str
    code: Path
    entry: str | None
    genesis: str | None


def own_of(code: str | None, flower: str | None, genesis: str | None) -> Own | None:
    """What `--code`, `--flower` and `--genesis` say; None if neither of the first two is given.

    Args:
        code: A .py file and a name in it, such as `chest.py:Chest`; or a folder or wheel, a module and a name, such as
            `lab:nets.chest:Chest`.
        flower: A Flower app's folder or wheel.
        genesis: As it is written into the manifest.

    Raises:
        Misuse: Both are given, or one has another form, or a first model is missing, or has no code beside it.
    """
    if code is not None and flower is not None:
        raise Misuse("--code and --flower exclude each other: a task trains one of them")
    if code is not None:
        return _module(code, genesis)
    if flower is None:
        if genesis is not None:
            raise Misuse("--genesis is for your own code: give --code or --flower, too")
        return None
    if genesis is None:
        raise Misuse(
            "--flower needs --genesis, what the app's model starts from: module:name, such as app.task:Net, or a "
            "safetensors file"
        )
    return Own("flower", Path(flower), None, genesis)


def _module(code: str, genesis: str | None) -> Own:
    path, _, name = code.rpartition(":")
    if path.endswith(".py"):
        return Own("module", Path(path), f"{Path(path).stem}:{name}", genesis)
    path, _, module = path.rpartition(":")
    if not path or not module or not name:
        raise Misuse(
            f"--code is {code[:200]!r}; allowed: FILE.py:NAME, or FOLDER:MODULE:NAME, such as chest.py:Chest"
        )
    return Own("module", Path(path), f"{module}:{name}", genesis)


def own_sections(own: Own, folder: Path) -> str:
    """The sections [data] and [learner].

    Args:
        own: What is trained.
        folder: Where the manifest will lie, to which its paths are relative.
    """
    where = json.dumps(Path(os.path.relpath(own.code, folder)).as_posix(), ensure_ascii=False)
    entry = "" if own.entry is None else f"entry = {json.dumps(own.entry)}\n"
    learner = _MODULE if own.kind == "module" else _FLOWER
    return learner.format(code=where, entry=entry, genesis=_genesis(own.genesis, folder))


def _genesis(genesis: str | None, folder: Path) -> str:
    if genesis is None:
        return '# genesis = "base.safetensors"  # the first model; without it, the code\'s build() makes it\n'
    if Path(genesis).exists():
        genesis = Path(os.path.relpath(genesis, folder)).as_posix()
    return f"genesis = {json.dumps(genesis, ensure_ascii=False)}\n"


_MODULE = """\
[data]
held_out = 0.1                  # share of each member's examples that is only measured on

[learner]
kind = "module"                 # your own PyTorch model
code = {code}            # ganchor task open packs it; each member reads it and allows its digest
{entry}{genesis}knobs = {{}}                      # values for build(knobs), data(uri, knobs): {{ rate = 0.001 }}
batch = 32                      # examples in a step
metrics = []                    # names of what measure() returns, such as "accuracy"
requires = []                   # packages that each node must have, such as "torch>=2.6"
"""

_FLOWER = """\
[learner]
kind = "flower"                 # a Flower app, as it is
code = {code}            # ganchor task open packs it; each member reads it and allows its digest
{entry}{genesis}knobs = {{}}                      # laid over the app's config, such as {{ local-epochs = 1 }}
metrics = []                    # names in the replies' metrics, such as "eval_acc"
losses = {{}}                     # which of them are the losses: {{ training = "train_loss", held_out = "eval_loss" }}
requires = []                   # packages that each node must have, such as "torch>=2.6"
"""
