"""A terminal as a person sees it: a pseudo-terminal, and what stands on its screen in the end."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress

import pytest

_CONTROL = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


def on_terminal(
    monkeypatch: pytest.MonkeyPatch, action: Callable[[], object], columns: int = 80
) -> list[str]:
    """Run an action whose standard output and error are a terminal; the lines that it leaves on the screen."""
    for name, value in (("TERM", "xterm"), ("COLUMNS", str(columns)), ("LINES", "100")):
        monkeypatch.setenv(name, value)
    ours, theirs = os.openpty()
    received: list[bytes] = []
    reader = threading.Thread(target=_drain, args=(ours, received))
    reader.start()
    try:
        with (
            os.fdopen(theirs, "w", buffering=1) as screen,
            redirect_stdout(screen),
            redirect_stderr(screen),
        ):
            action()
    finally:
        reader.join()
        os.close(ours)
    return screen_of(b"".join(received).decode(), columns)


def _drain(descriptor: int, received: list[bytes]) -> None:
    with suppress(OSError):  # which says on Linux that the other end is closed
        while chunk := os.read(descriptor, 1 << 16):
            received.append(chunk)


def screen_of(text: str, columns: int) -> list[str]:
    """What a terminal shows after this text: cursor movements, erased lines and wrapping are carried out."""
    lines, row, column = [""], 0, 0
    for parameters, command, newline, words in _CONTROL.findall(text):
        if newline == "\r":
            column = 0
        elif newline:
            row += 1
        elif command == "A":
            row = max(0, row - int(parameters or 1))
        elif command == "K":
            lines[row] = "" if parameters == "2" else lines[row][:column]
        for letter in words:
            if column == columns:
                row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
            lines[row] = f"{lines[row]:{column}}"[:column] + letter + lines[row][column + 1 :]
            column += 1
        lines += [""] * (row + 1 - len(lines))
    return [line.rstrip() for line in lines]
