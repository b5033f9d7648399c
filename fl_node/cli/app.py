"""The command line, and how errors become one line and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from chain.errors import CallRejected, LedgerError
from fl_node.cli.commands import INTERRUPTED, command_line
from fl_node.errors import GanchorError

FAILED = 2
"""Exit code when a command could not be carried out. 1 is kept for an audit with findings."""

app = command_line(
    "Train one model across parties that do not pool their data, with a history on Ethereum that anyone can replay "
    "bit for bit."
)


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line; on this process's own arguments, if none are given."""
    run(lambda: app(words, prog_name="ganchor"))


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
    from rich.console import Console

    console = Console(stderr=True, soft_wrap=True)
    line = " ".join(message.split())
    console.print(f"error: {line}", style="red", markup=False, highlight=False)
    sys.exit(FAILED)
