"""The exit codes of commands."""

from __future__ import annotations

WITH_FINDINGS = 1
"""Exit code of an audit with findings, of a check that found something wrong, of a receipt that is false, or of a
witness that refused a history, and of nothing else."""

FAILED = 2
"""Exit code of a command that failed, or whose output could not be written."""

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the signal's number, as in a shell."""

STOPPED = 143
"""Exit code of a node that SIGTERM stopped: 128 and the signal's number. A node exits with 0 only at its task's end."""


class FindingsReported(Exception):
    """Raised by a command that has printed the findings of an audit or a check, what is false in a receipt, or what a
    witness refuses.

    It is our own exception, because typer and rich exit with 1 for other reasons: a closed pipe, or a prompt without
    an answer.
    """


class Stopped(BaseException):
    """SIGTERM arrived. As with KeyboardInterrupt, no `except Exception` catches it."""
