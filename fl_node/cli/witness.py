"""`ganchor witness`: watch a task's history from an endpoint of your own, and sign what extends what you have seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from chain.errors import ChainRefused, ChainUnreachable, HistoryInvalid, TaskUnknown
from chain.text import shown
from chain.types import Phase, TaskState
from fl_node.cli import accounts, options, wiring
from fl_node.cli.exits import FindingsReported
from fl_node.cli.words import time_text
from fl_node.errors import ExtensionRefused, Misuse

if TYPE_CHECKING:
    from fl_node.witness.note import Note
    from fl_node.witness.watching import Witness

LOOK_SECONDS = 5.0
"""The time between two looks."""

LOOKS = 10
"""How many looks in a row must end in a refusal: an endpoint's log may lag behind its state."""


def witness(
    key: Annotated[Path, typer.Option(help="The file with the witness's key, encrypted.")],
    task: options.Task = 1,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    out: Annotated[
        Path,
        typer.Option(
            help="The file with what was signed last, for others to read and this witness to remember: it is written "
            "again at each new head, and must not be lost."
        ),
    ] = Path("cosigned.txt"),
    new_key: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Create the key instead, of a witness of this name, such as alice.example/witness, and print the line "
            "by which others know it.",
        ),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once instead of on and on.")] = False,
    settled: options.Settled = None,
    password_file: options.PasswordFile = None,
) -> None:
    """Watch a task's history, and sign each head that extends the one before. Exit code 1: one did not, and is refused.

    It ends when the task is finished. On a chain that is reorganised give --settled finalized: what is signed stays
    signed.
    """
    from fl_node.witness.keys import create_key, open_key

    if new_key is not None:
        typer.echo(create_key(key, new_key, accounts.new_password(password_file)))
        return
    opened = open_key(key, accounts.password(password_file))
    from fl_node.witness.watching import Witness

    ledger = wiring.open_ledger(
        rpc_url, deployment, task=task, manners=wiring.Manners(settled=settled)
    )
    with TemporaryDirectory(prefix="ganchor-") as folder:
        watching = Witness(ledger, task, opened, out, Path(folder) / "log.sqlite", time.time)
        try:
            for note in notes_of(watching, lambda: ledger.settled_state(task), once):
                _print(note)
        except ExtensionRefused as refused:
            typer.echo(f"refused: {shown(refused)}; {out} is as it was", err=True)
            raise FindingsReported from None


def notes_of(
    watching: Witness, state: Callable[[], TaskState], once: bool, seconds: float | None = None
) -> Iterator[Note]:
    """The notes that a witness signs, until the task is finished, or after the first look that ends well.

    Args:
        state: Asks for the task's state in a settled block.
        seconds: The time between two looks; None for `LOOK_SECONDS`.

    Raises:
        ExtensionRefused: `LOOKS` looks in a row ended in a refusal.
        Misuse: With `once`, no settled block has the task yet.
        ChainUnreachable, ChainRefused: With `once`, nobody answers; else it is waited out.
    """
    refusals = 0
    while True:
        try:
            seen = state()
            note = watching.look(seen.history_head)
        except (ExtensionRefused, HistoryInvalid) as refused:
            refusals += 1
            if refusals == LOOKS:
                raise ExtensionRefused(str(refused)) from None
        except TaskUnknown:
            if once:
                raise Misuse(
                    "no settled block has this task yet; wait, or give --settled"
                ) from None
        except (ChainUnreachable, ChainRefused) as trouble:
            if once:
                raise
            typer.echo(f"waiting: {shown(trouble)}", err=True)
        else:
            refusals = 0
            if note is not None:
                yield note
            if once or seen.phase is Phase.FINISHED:
                return
        time.sleep(LOOK_SECONDS if seconds is None else seconds)


def _print(note: Note) -> None:
    checkpoint, (cosignature,) = note.checkpoint, note.cosignatures
    typer.echo(
        f"cosigned {checkpoint.origin} at {time_text(cosignature.time)}: "
        f"event {checkpoint.events}, head {checkpoint.head.hex()}"
    )
