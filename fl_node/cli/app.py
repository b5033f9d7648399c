"""Runs the command line, and turns errors into one line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

from chain.errors import CallRejected, LedgerError
from chain.text import shown
from fl_node.cli.commands import command_line
from fl_node.cli.exits import FAILED, INTERRUPTED, STOPPED, WITH_FINDINGS, FindingsReported, Stopped
from fl_node.errors import GanchorError

TRACEBACK_VARIABLE = "GANCHOR_TRACEBACK"
"""If this is set, an unexpected error shows its traceback."""

MAX_LINE = 4000

app = command_line(
    "Train one model across parties that do not pool their data, with a history on Ethereum that anyone can replay "
    "bit for bit."
)


def main(words: Sequence[str] | None = None) -> None:
    """Run the command line, by default on this process's own arguments."""
    run(lambda: app(words, prog_name="ganchor"))


def run(command: Callable[[], object]) -> NoReturn:
    """Run a command, and turn its errors into one line on standard error and an exit code.

    Exits with 0 on success, with 1 only for an audit with findings, and with 2 if the command failed or its output
    could not be written, for whatever reason.
    """
    sys.exit(_code_of(command))


def _code_of(command: Callable[[], object]) -> int:
    try:
        command()
    except FindingsReported:
        return _delivered(WITH_FINDINGS)
    except SystemExit as ended:
        # typer and rich exit with 1 when a pipe's reader is gone or a prompt gets no answer.
        code = ended.code if isinstance(ended.code, int) else FAILED * bool(ended.code)
        return _delivered(FAILED if code == WITH_FINDINGS else code)
    except CallRejected as rejection:
        return _fail(f"the contract refused: {rejection}")
    except (GanchorError, LedgerError) as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return INTERRUPTED
    except Stopped:
        return _delivered(STOPPED)
    except BrokenPipeError:  # The reader closed the pipe, for example `head`.
        _forget_output()
        return FAILED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}")
    except Exception as error:
        if TRACEBACK_VARIABLE in os.environ:
            traceback.print_exc()
        name = type(error).__name__
        return _fail(f"unexpected {name}: {error} (set {TRACEBACK_VARIABLE}=1 to see where)")
    return _delivered(0)


def _delivered(code: int) -> int:
    """The exit code; another one if the output cannot be written to its end."""
    try:
        sys.stdout.flush()
    except OSError:
        _forget_output()
        return code or FAILED
    return code


def _forget_output() -> None:
    """Discard Python's last flush, which would otherwise fail at exit and change the exit code."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail(message: str) -> int:
    import typer

    plain = "NO_COLOR" in os.environ
    with suppress(OSError):  # Standard error may be a closed pipe as well.
        line = f"error: {shown(message, MAX_LINE)}"
        typer.secho(line, err=True, fg=None if plain else typer.colors.RED)
    return FAILED
