"""`ganchor simulate`: the same training as a plain loop, without a chain."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from chain.types import Address
from fl_node.blobs.store import open_store
from fl_node.cli import options
from fl_node.cli.parts import data_of, own_part
from fl_node.cli.words import short
from fl_node.errors import Misuse
from fl_node.learner import StepProgress
from fl_node.manifest.manifest import Manifest, read_manifest
from fl_node.member.simulation import simulate as run_rounds

if TYPE_CHECKING:
    from fl_node.learning import Images


def simulate(
    manifest_file: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="The manifest, in TOML.")
    ],
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            help="digits, cifar10, mnist, fashion-mnist, or folder:PATH. Once for all members; or once for each, in "
            "the manifest's order or as ADDRESS=folder:PATH. Default: digits.",
        ),
    ] = None,
    partition: options.Partition = None,
    device: options.RepeatableDevice = "cpu",
    threads: options.Threads = 1,
    out: Annotated[
        str | None, typer.Option("--store", help="Put every round's model into this store.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Train a manifest's task in one process, without a chain.

    It gives the bytes of the run on the chain if both train on CPUs with the same number of threads.
    """
    from fl_node.learning import task

    manifest = read_manifest(manifest_file)
    images = member_pictures(manifest, data or ["digits"], partition)
    store = open_store(out) if out else None
    learners = {
        member: task.make_learner(manifest, own, device, threads, store)
        for member, own in images.items()
    }
    digests: list[str] = []
    genesis = task.derive_genesis(manifest)
    with Display(manifest.rounds.count, quiet=as_json) as display:
        for done in run_rounds(manifest, learners, genesis, progress_for=display.progress_for):
            digests.append(done.aggregated.digest.hex())
            if store:
                store.put(done.aggregated.blob)
            display.finished(done.round, digests[-1])
    if as_json:
        typer.echo(json.dumps({"rounds": digests, "final_digest": digests[-1]}))


def member_pictures(
    manifest: Manifest, data: Sequence[str], partition: str | None
) -> dict[Address, Images]:
    """Every member's pictures, the same that `ganchor node` gives it with the same options.

    Raises:
        Misuse: As for `data_of`; or `partition` is given for several data sets.
        DataUnusable: The data is unknown, empty, not downloadable, or cannot be partitioned this way.
    """
    from fl_node.learning import task

    members = manifest.addresses
    if partition is not None and len(data) > 1:
        raise Misuse(
            "--partition needs one data set for all members, but each member has its own --data"
        )
    specs = data_of(data, members)
    loaded = {spec: task.load_data(manifest, spec) for spec in dict.fromkeys(specs)}
    parts = [own_part(partition, None, member, members) for member in members]
    return {
        member: task.part_of(manifest, loaded[spec], part.rule, part.index, part.count)
        for member, spec, part in zip(members, specs, parts, strict=True)
    }


class Display:
    """Shows bars while training, and prints a line for each round. In a terminal both use one console."""

    def __init__(self, rounds: int, quiet: bool) -> None:
        self._lines = Console(soft_wrap=True, highlight=False, quiet=quiet)
        shown = self._lines if self._lines.is_terminal else Console(stderr=True)
        hidden = quiet or not shown.is_terminal
        self._bars = Progress(console=shown, transient=True, disable=hidden, redirect_stdout=False)
        self._rounds = self._bars.add_task("rounds", total=rounds)
        self._steps = self._bars.add_task("training", total=None)

    def __enter__(self) -> Display:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def progress_for(self, round: int, client: Address) -> StepProgress:
        """The callback for a member's training steps."""
        self._bars.update(self._steps, description=f"round {round} {short(client)}")
        return lambda step, steps, losses: self._bars.update(
            self._steps, completed=step, total=steps
        )

    def finished(self, round: int, digest: str) -> None:
        """Print a round's line."""
        self._bars.update(self._rounds, completed=round)
        self._lines.print(f"round {round}: {digest}")
