"""`ganchor simulate`: the same training as a plain loop, without a chain."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from chain.types import Address
from fl_node.arrays import Arrays
from fl_node.blobs.store import Store, open_store
from fl_node.cli import options
from fl_node.cli.own_code import allowed_code, told
from fl_node.cli.parts import Part, shares_of
from fl_node.cli.words import short
from fl_node.learner import Learner, StepProgress
from fl_node.manifest.code_learners import CodeLearner
from fl_node.manifest.manifest import Manifest
from fl_node.manifest.packing import read_draft
from fl_node.member.own_code import TRAINING_SECONDS, Turns, completed, own_code
from fl_node.member.simulation import simulate as run_rounds


def simulate(
    manifest_file: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="The manifest, in TOML.")
    ],
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            help="digits, cifar10, mnist, fashion-mnist, or folder:PATH. Once for all members; or once for each, in "
            "the manifest's order or as ADDRESS=folder:PATH. Default: digits. For a task's own code: the text that its "
            "data() gets.",
        ),
    ] = None,
    partition: options.Partition = None,
    task: Annotated[
        int,
        typer.Option(min=1, help="The task's number in the ledger: with it the cohorts are drawn."),
    ] = 1,
    node_config: options.NodeConfig = None,
    device: options.RepeatableDevice = "cpu",
    threads: options.Threads = 1,
    out: Annotated[
        str | None,
        typer.Option(
            "--store",
            help="Put every round's model into this store. It also has what the manifest names by digest.",
        ),
    ] = None,
    allow_code: options.AllowedCode = None,
    training_timeout: options.TrainingTimeout = TRAINING_SECONDS,
    as_json: options.Json = False,
) -> None:
    """Train a manifest's task in one process, without a chain.

    It gives the bytes of the run on the chain if both train on CPUs with the same number of threads.
    """
    read = read_draft(manifest_file)
    texts: Sequence[str | None] = data or [None]
    given = [told(read.manifest.learner, text, node_config) for text in texts]
    shares = shares_of(given, partition, read.manifest.addresses)
    draft = completed(read, training_timeout)
    manifest, store = draft.manifest, open_store(out) if out else None
    digests: list[str] = []
    with Turns() as turns:
        if isinstance(manifest.learner, CodeLearner):
            own = own_code(draft, manifest.learner, store, allowed_code(allow_code))
            genesis, learners = (
                own.genesis,
                {
                    member: turns.learner(
                        own.on(
                            text,
                            **asdict(part),
                            device=device,
                            threads=threads,
                            timeout=training_timeout,
                        )
                    )
                    for member, (text, part) in shares.items()
                },
            )
        else:
            genesis, learners = _shipped(manifest, shares, device, threads, store)
        with Display(manifest.rounds.count, quiet=as_json) as display:
            rounds = run_rounds(
                manifest, learners, genesis, task, progress_for=display.progress_for
            )
            for done in rounds:
                digests.append(done.aggregated.digest.hex())
                if store:
                    store.put(done.aggregated.blob)
                display.finished(done.round, digests[-1])
    if as_json:
        typer.echo(json.dumps({"rounds": digests, "final_digest": digests[-1]}))


def _shipped(
    manifest: Manifest,
    shares: Mapping[Address, tuple[str, Part]],
    device: str,
    threads: int,
    store: Store | None,
) -> tuple[Arrays, dict[Address, Learner]]:
    """The genesis and every member's learner on its pictures, for a learner of this package.

    Raises:
        DataUnusable: The data is unknown, empty, not downloadable, or cannot be partitioned this way.
    """
    from fl_node.learning import task

    loaded = {
        name: task.load_data(manifest, name)
        for name in dict.fromkeys(name for name, _ in shares.values())
    }
    return task.derive_genesis(manifest), {
        member: task.make_learner(
            manifest,
            task.part_of(manifest, loaded[name], part.rule, part.index, part.count),
            device,
            threads,
            store,
        )
        for member, (name, part) in shares.items()
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
