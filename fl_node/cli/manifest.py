"""`ganchor manifest`: write a working manifest, and check one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from chain.accounts import keystore_address, to_address
from chain.types import Address
from fl_node.blobs.digest import digest_of
from fl_node.blobs.model import decode_model
from fl_node.cli import options
from fl_node.cli.own_manifest import Own, own_of, own_sections
from fl_node.cli.pictures import Look, look_at
from fl_node.cli.words import follow_up
from fl_node.errors import Misuse
from fl_node.manifest.bounds import parse_toml
from fl_node.manifest.code_learners import CodeLearner, FlowerLearner
from fl_node.manifest.learners import SHIPPED, PictureLearner
from fl_node.manifest.manifest import build_manifest
from fl_node.manifest.packing import draft_of, read_draft
from fl_node.member.own_code import completed
from fl_node.round.genesis import genesis_state

LEARNER_OF = {learner.name(): learner for learner in SHIPPED}


def manifest_new(
    member: Annotated[
        list[str],
        typer.Option(help="A member: its address or its keystore file. Repeat for each member."),
    ],
    data: options.Data = "digits",
    learner: Annotated[
        str | None,
        typer.Option(
            help=f"What is trained on pictures: {' or '.join(LEARNER_OF)}. Default: {SHIPPED[0].name()}."
        ),
    ] = None,
    code: Annotated[
        str | None,
        typer.Option(
            help="Train your own PyTorch model instead: FILE.py:NAME, such as chest.py:Chest, or FOLDER:MODULE:NAME."
        ),
    ] = None,
    flower: Annotated[
        str | None, typer.Option(help="Train your own Flower app instead: its folder, or a wheel.")
    ] = None,
    genesis: Annotated[
        str | None,
        typer.Option(
            help="With --code or --flower: the first model, a safetensors file or module:name of what makes it."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, max=65_535, help="Number of rounds.")] = 10,
    steps: Annotated[
        int,
        typer.Option(
            min=1, help="Optimiser steps of each member in a round; a Flower app decides itself."
        ),
    ] = 120,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all randomness.")] = 1,
    name: Annotated[
        str | None, typer.Option(help="The task's name. Default: the name of its data.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The file to write; it must not exist.")] = Path(
        "manifest.toml"
    ),
    as_json: options.Json = False,
) -> None:
    """Write a manifest for your members and your pictures or your own code, with comments. Edit it as you like."""
    members, own = read_members(member), own_of(code, flower, genesis)
    facts: dict[str, object] = {"file": str(out), "members": members}
    if own is None:
        look = look_at(data)
        text = manifest_text(
            name or _name(data), seed, members, look, learner or SHIPPED[0].name(), rounds, steps
        )
        facts, about = {**facts, "data": asdict(look)}, f"pictures: {described(look)}"
    else:
        if learner is not None:
            raise Misuse("--learner is for pictures: leave it out beside --code or --flower")
        text = own_manifest_text(
            name or own.code.stem, seed, members, own, out.parent, rounds, steps
        )
        facts, about = {**facts, "code": str(own.code)}, f"your own code: {own.code}"
    _write_new(out, text)
    if as_json:
        typer.echo(json.dumps(facts))
        return
    Console(soft_wrap=True, highlight=False, markup=False).print(
        f"wrote {out}: {len(members)} members; {about}\n"
        f"next: {follow_up(f'task open {out} --keystore FILE')}"
    )


def manifest_check(
    manifest_file: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="The manifest, in TOML.")
    ],
    as_json: options.Json = False,
) -> None:
    """Check a manifest without a chain: print what is wrong, or its name, members, rounds and digest.

    Code that it names by a path is packed and, if it makes the first model, run.
    """
    draft = completed(read_draft(manifest_file))
    manifest = draft.manifest
    learner = manifest.learner
    facts = {
        "name": manifest.name,
        "members": len(manifest.members),
        "rounds": manifest.rounds.count,
        "learner": learner.kind,
        **({"code_digest": learner.code} if isinstance(learner, CodeLearner) else {}),
        "manifest_digest": digest_of(manifest.to_bytes()).hex(),
    }
    if draft.model is not None:
        genesis_state(manifest, decode_model(draft.model))
    if as_json:
        typer.echo(json.dumps(facts))
    else:
        for fact, value in facts.items():
            typer.echo(f"{fact.replace('_', ' '):15} {value}")


def read_members(given: Sequence[str]) -> list[Address]:
    """Read addresses and keystores; returns their addresses in ascending order, as a manifest lists them.

    Raises:
        Misuse: A member is neither, or is given twice.
        AccountUnusable: A file is not a keystore.
    """
    members = sorted((_member(text) for text in given), key=lambda address: int(address, 16))
    twice = [member for member, following in pairwise(members) if member == following]
    if twice:
        raise Misuse(f"--member {twice[0]} is given twice; each member needs its own account")
    return members


def _member(text: str) -> Address:
    if not text.lower().startswith("0x") and Path(text).exists():
        return keystore_address(Path(text))
    try:
        return to_address(text)
    except ValueError as error:
        raise Misuse(f"--member: {error}; or give an existing keystore file") from None


def described(look: Look) -> str:
    """A description of a data set."""
    parts = ["grey" if look.channels == 1 else "colour", f"{look.size}x{look.size}"]
    parts += [f"{look.classes} classes"] if look.classes else []
    return ", ".join([*parts, *([f"{look.count} pictures"] if look.count else [])])


def manifest_text(
    name: str,
    seed: int,
    members: Sequence[Address],
    look: Look,
    learner: str,
    rounds: int,
    steps: int,
) -> str:
    """A valid manifest in TOML.

    Raises:
        ManifestInvalid: A value is out of range.
        Misuse: The learner is unknown, or it needs pictures with classes.
    """
    chosen = _learner(learner)
    knobs = "".join(f"{knob} = {value}\n" for knob, value in _knobs(chosen, look).items())
    sections = f"""\
[data]
channels = {look.channels}                    # 1 is grey, 3 is colour
size = {look.size}                       # pictures are scaled to this many pixels on a side: 32 or 64

[learner]
# {(chosen.__doc__ or "").splitlines()[0]}
kind = "{learner}"
{knobs}"""
    body = json.dumps(list(chosen.body))
    share = f'["*"]                   # every tensor; {body} keeps the others private'
    work = f"{{ steps = {steps} }}          # optimiser steps of each member in a round"
    text = _document(name, seed, members, sections, share, work, rounds)
    build_manifest(parse_toml(text))
    return text


def own_manifest_text(
    name: str,
    seed: int,
    members: Sequence[Address],
    own: Own,
    folder: Path,
    rounds: int,
    steps: int,
) -> str:
    """A valid manifest in TOML for one's own code, which is packed to see that it can be, and not run.

    Args:
        name, seed, members, rounds, steps: As the options.
        own: What is trained.
        folder: Where the manifest will lie.

    Raises:
        ManifestInvalid: A value is out of range, or the code cannot be packed.
    """
    share = '["*"]                   # every tensor; patterns over their names share a part alone'
    work = f"{{ steps = {steps} }}          # optimiser steps of each member in a round"
    if own.kind == FlowerLearner.name():
        share = '["*"]                   # a Flower app answers with all of its model'
        work = "{ epochs = 1 }          # the app decides itself how much it trains"
    text = _document(name, seed, members, own_sections(own, folder), share, work, rounds)
    draft_of(parse_toml(text), folder)
    return text


def _document(
    name: str,
    seed: int,
    members: Sequence[Address],
    sections: str,
    share: str,
    work: str,
    rounds: int,
) -> str:
    least = min(2, len(members))
    listed = "".join(f'    "{member}",\n' for member in members)
    return f"""\
# A task. Every field, and what else can be chosen: docs/manifest.md
name = {json.dumps(name, ensure_ascii=False)}
seed = {seed}                        # all randomness derives from it
members = [                     # in ascending order of address
{listed}]

{sections}
[strategy]
preset = "fedavg"               # docs/algorithms.md lists the others
share = {share}
work = {work}

[rounds]
count = {rounds}
commit_window = 3600            # seconds to train and commit
reveal_window = 600             # to reveal their updates
attest_window = 600             # to check the aggregate
cohort_floor = {least}                # at least this many members in a round
min_updates = {least}                 # a round needs this many updates
"""


def _learner(name: str) -> type[PictureLearner]:
    if name not in LEARNER_OF:
        raise Misuse(f"--learner is {name!r}; allowed: {', '.join(LEARNER_OF)}")
    return LEARNER_OF[name]


def _knobs(learner: type[PictureLearner], look: Look) -> dict[str, object]:
    """The knobs that differ from their defaults: those for a short try, and a classifier's number of classes."""
    if not learner.needs_classes:
        return dict(learner.short_try)
    if (look.classes or 0) < 2:
        raise Misuse(
            f"a {learner.name()} needs at least 2 classes of pictures, each in its own sub-folder"
        )
    return {"classes": look.classes, **learner.short_try}


def _name(data: str) -> str:
    return data.removeprefix("folder:").rstrip("/").rpartition("/")[2][:100] or "pictures"


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x") as file:
            file.write(text)
    except FileExistsError:
        raise Misuse(f"{path} already exists; give another --out, or remove it first") from None
