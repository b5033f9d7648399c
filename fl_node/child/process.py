"""A child process and the pipes to it, seen from the parent, which starts, awaits and kills it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NoReturn

from chain.text import shown
from fl_node.blobs.digest import Blob
from fl_node.child.confinement import environment, withhold
from fl_node.child.frames import LENGTH_BYTES, buffer_of
from fl_node.code.blob import Code
from fl_node.code.unpacking import unpack
from fl_node.errors import TrainingFailed

PROGRAM: Final = ("-m", "fl_node.child.serve")
"""What Python runs in the child."""

_KEPT_OUTPUT = 4096
"""How many bytes of what the child printed last are kept for an error's text."""
_CHUNK = 1 << 16
_LAST_READS = 32
_SECONDS_TO_DIE = 10.0
_LONGEST_WAIT = 3600.0  # poll takes milliseconds as a C int


class Child:
    """A running child, which has the task's code before it on its path. Every error ends it."""

    def __init__(self, code: Code, module: str, program: Sequence[str] = PROGRAM) -> None:
        """Start it, in a folder of its own, which is removed at its end.

        Args:
            code: The task's code.
            module: The module of the learner's entry.
            program: What Python runs.

        Raises:
            CodeRefused: The code cannot be unpacked here.
            TrainingFailed: The system starts no process.
        """
        try:
            with ExitStack() as ours, ExitStack() as theirs:
                self._start(code, module, program, ours, theirs)
        except OSError as error:
            raise TrainingFailed(f"no process can be started: {error.strerror}") from None

    def _start(
        self, code: Code, module: str, program: Sequence[str], ours: ExitStack, theirs: ExitStack
    ) -> None:
        """Start it; `theirs` holds the ends of pipes that only the child needs."""
        folder = TemporaryDirectory(prefix="ganchor-", ignore_cleanup_errors=True)
        root = Path(ours.enter_context(folder))
        for name in ("code", "work"):
            (root / name).mkdir()
        unpack(code, root / "code", module)
        withhold()
        requests, self._requests = _pipe(theirs, ours)
        self._replies, replies = _pipe(ours, theirs)
        self._printed, printed = _pipe(ours, theirs)
        lifeline, _ = _pipe(theirs, ours)
        passed = (requests, replies, lifeline)
        process = subprocess.Popen(
            [sys.executable, "-P", "-u", *program, str(root / "code"), *map(str, passed)],
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            pass_fds=passed,
            start_new_session=True,  # a group of its own, which can be killed as a whole
            cwd=root / "work",
            env=environment(os.environ, root),
        )
        for pipe in (self._requests, self._replies, self._printed):
            os.set_blocking(pipe, False)
        self._process, self._output, self._silent = process, bytearray(), False
        self._end = weakref.finalize(self, _end, process, ours.pop_all())

    @property
    def pid(self) -> int:
        """The process's number, and that of its group."""
        return self._process.pid

    def stop(self) -> None:
        """Kill it, and every process that it started and that is still in its group."""
        self._end()

    def send(self, frame: Iterable[Blob], deadline: float) -> None:
        """Send a frame.

        Args:
            frame: In pieces.
            deadline: When to give up, on `time.monotonic`'s clock.

        Raises:
            TrainingFailed: The child died, or does not read.
        """
        for piece in frame:
            left = memoryview(piece)
            while left:
                try:
                    left = left[os.write(self._requests, left) :]
                except BlockingIOError:
                    self._wait(self._requests, select.POLLOUT, deadline)
                except BrokenPipeError:
                    self._died()

    def receive(self, max_bytes: int, deadline: float) -> memoryview:
        """Receive a frame's blob.

        Args:
            max_bytes: The longest blob that is read.
            deadline: As for `send`.

        Raises:
            TrainingFailed: The child died, is late, or announces more bytes.
        """
        self._verify_time(deadline)
        size = int.from_bytes(self._read(LENGTH_BYTES, deadline), "little")
        if size > max_bytes:
            self.fail(f"announced an answer of {size} bytes; at most {max_bytes} are allowed")
        return self._read(size, deadline)

    def fail(self, why: str) -> NoReturn:
        """End it.

        Args:
            why: What it did, such as "hung".

        Raises:
            TrainingFailed: Always, in one line.
        """
        self._kill()
        words = shown(self._output.decode(errors="replace").strip().rpartition("\n")[2], 200)
        self.stop()
        raise TrainingFailed(
            f"the task's code {why}" + (f"; it last printed: {words}" if words else "")
        )

    def _read(self, size: int, deadline: float) -> memoryview:
        buffer, filled = buffer_of(size), 0
        while filled < size:
            try:
                count = os.readv(self._replies, [buffer[filled:]])
            except BlockingIOError:
                self._wait(self._replies, select.POLLIN, deadline)
                continue
            if not count:
                self._died()
            filled += count
        return buffer

    def _wait(self, pipe: int, event: int, deadline: float) -> None:
        """Wait until a pipe is ready, and meanwhile take what the child prints, so that it never waits for us."""
        poll = select.poll()
        poll.register(pipe, event)
        while True:
            if not self._silent:
                poll.register(self._printed, select.POLLIN)
            ready = {
                number
                for number, _ in poll.poll(min(self._verify_time(deadline), _LONGEST_WAIT) * 1000)
            }
            if self._printed in ready and not self._listen():
                poll.unregister(self._printed)
            if pipe in ready:
                return

    def _listen(self) -> bool:
        """Take some of what the child prints; returns whether there may be more."""
        try:
            text = os.read(self._printed, _CHUNK)
        except BlockingIOError:
            return True
        self._output += text
        del self._output[:-_KEPT_OUTPUT]
        self._silent = not text
        return bool(text)

    def _verify_time(self, deadline: float) -> float:
        """Seconds that are left."""
        left = deadline - time.monotonic()
        if left <= 0:
            self.fail("took too long and was stopped; --training-timeout allows it more time")
        return left

    def _died(self) -> NoReturn:
        self._kill()  # Whatever it started. If it is gone itself, how it ended stays as it was.
        code = self._process.returncode
        if code == -signal.SIGKILL:
            self.fail("was killed, perhaps because memory ran out")
        if code is not None and code < 0:
            self.fail(f"crashed with {signal.Signals(-code).name}")
        self.fail(f"ended its process, with exit code {code}")

    def _kill(self) -> None:
        _kill(self._process)
        for _ in range(_LAST_READS):  # A process outside the group could go on printing.
            if (
                self._silent
                or not select.select([self._printed], [], [], 0)[0]
                or not self._listen()
            ):
                break


def _pipe(reader: ExitStack, writer: ExitStack) -> tuple[int, int]:
    """The reading and the writing end of a new pipe, which close with these."""
    reading, writing = os.pipe()
    reader.callback(os.close, reading)
    writer.callback(os.close, writing)
    return reading, writing


def _end(process: subprocess.Popen[bytes], ours: ExitStack) -> None:
    _kill(process)
    ours.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.returncode is None:  # Its number is its own until it has been waited for.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_TO_DIE)
