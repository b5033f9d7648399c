"""The commands, and how errors become one line and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

import typer
from rich.console import Console

from chain.errors import CallRejected, LedgerError
from fl_node.cli import audit, chain, demo, evaluate, extractors, node, simulate, task
from fl_node.errors import GanchorError

FAILED = 2
"""Exit code when a command could not be carried out. 1 is kept for an audit with findings."""

INTERRUPTED = 130

app = typer.Typer(
    name="ganchor",
    help="Train one model across parties that do not pool their data, with a history on Ethereum that anyone can "
    "replay bit for bit.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command()(demo.demo)
app.command()(chain.devnet)
app.command()(chain.deploy)
app.add_typer(chain.key_app, name="key")
app.add_typer(task.task_app, name="task")
app.command()(node.node)
app.command()(chain.status)
app.command()(audit.audit)
app.command()(evaluate.evaluate)
app.command()(extractors.extractor)
app.command()(simulate.simulate)


def main() -> None:
    """Run the command line."""
    run(app)


def run(command: Callable[[], object]) -> None:
    """Run a command; its errors become one line on standard error, and an exit code.

    Exits with 0, with 1 for an audit with findings, with 2 if the command could not be carried out.
    """
    try:
        command()
    except CallRejected as rejection:
        _fail(f"the contract refused: {rejection}")
    except (GanchorError, LedgerError) as error:
        _fail(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _fail(message: str) -> NoReturn:
    console = Console(stderr=True, soft_wrap=True)
    line = " ".join(message.split())
    console.print(f"error: {line}", style="red", markup=False, highlight=False)
    sys.exit(FAILED)
