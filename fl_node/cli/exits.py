"""How a command ends: its exit code, and one line on standard error where it failed."""

from __future__ import annotations

WITH_FINDINGS = 1
"""Exit code of an audit with findings, and of nothing else."""

FAILED = 2
"""Exit code where a command could not be carried out, or its output not be written."""

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 and the signal's number, as in a shell."""


class FindingsReported(Exception):
    """Raised by a command that has printed an audit's findings.

    An exception of our own, because the libraries below end a command with exit code 1 for other reasons: a closed
    pipe, a prompt that nobody answered.
    """
