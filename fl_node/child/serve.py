"""What runs in the child process: opens the task's learner, and answers until the parent is gone.

`python -m fl_node.child.serve FOLDER REQUESTS REPLIES LIFELINE`, of which the last three are open pipes.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from fl_node.blobs.digest import Blob
from fl_node.child import replies, requests
from fl_node.child.confinement import confine
from fl_node.child.frames import Message, frame_of, message_of, read_frame, write_frame
from fl_node.errors import GanchorError, Misuse, TrainingFailed
from fl_node.learner import Learner

KINDS: Final = {"module": "fl_node.learning.own", "flower": "fl_node.flower.open"}
"""Kind of learner, as the manifest names it, to the module that opens it.

Such a module has two functions: `open_learner(setup, genesis) -> Learner` and `build_genesis(setup) -> Arrays`. Both
may raise what is a `Misuse`, and whatever the task's code raises.
"""


MAX_WORDS = 1000
"""The most characters of an exception's own text."""


def main(kinds: Mapping[str, str] = KINDS) -> None:
    """Serve the parent that started this process."""
    folder, asked, answered, lifeline = sys.argv[1:]
    confine(int(lifeline), int(asked), int(answered))
    sys.path.insert(0, folder)
    server = Server(kinds, int(answered), Path(folder))
    while (blob := read_frame(int(asked))) is not None:
        server.answer(message_of(blob))
        del blob  # The weights, before the next ones come.


class Server:
    """Answers requests with one learner."""

    def __init__(self, kinds: Mapping[str, str], pipe: int, folder: Path) -> None:
        """Open nothing yet.

        Args:
            kinds: As `KINDS`.
            pipe: Where answers go.
            folder: Where the task's code lies.
        """
        self._kinds, self._pipe, self._folder = kinds, pipe, folder
        self._learner: Learner | None = None

    def answer(self, request: Message) -> None:
        """Answer one request, whatever comes of it."""
        try:
            frame = _frame(self._done(request))
        except BaseException as error:  # Code may raise SystemExit, too.
            frame = frame_of(self._failed(request, error))
        write_frame(self._pipe, frame)

    def _done(self, request: Message) -> Message:
        says, groups = request.says, request.groups
        call = says["call"]
        if call == "genesis":
            setup = requests.setup_of(request)
            return replies.genesis_reply(self._opener(setup.kind).build_genesis(setup))
        if call == "open":
            setup = requests.setup_of(request)
            opener = self._opener(setup.kind)
            self._learner = opener.open_learner(setup, groups["genesis"])
            return replies.opened_reply()
        assert self._learner is not None
        if call == "steps_for":
            return replies.steps_reply(self._learner.steps_for(says["epochs"]))
        if call == "measure":
            model, private = groups["model"], groups.get("private")
            return replies.measured_reply(self._learner.measure(model, private, says["training"]))
        assignment = requests.assignment_of(request)
        return replies.trained_reply(self._learner.train(assignment, self._progress))

    def _opener(self, kind: str) -> Any:
        if kind not in self._kinds:
            raise Misuse(f"a learner of the kind {kind!r} has no code of its own")
        return import_module(self._kinds[kind])

    def _progress(self, step: int, steps: int, losses: Mapping[str, float]) -> None:
        write_frame(self._pipe, frame_of(replies.progress_reply(step, steps, losses)))

    def _failed(self, request: Message, error: BaseException) -> Message:
        if isinstance(error, GanchorError):
            return replies.failed_reply(type(error).__name__, f"{error}{self._place(error)}")
        opening = request.says["call"] in ("open", "genesis")
        said = f"the task's code raised {type(error).__name__}{_words(error)}{self._place(error)}"
        return replies.failed_reply("CodeRefused" if opening else "TrainingFailed", said)

    def _place(self, error: BaseException | None) -> str:
        """Where in the task's code an error, or what caused it, was raised; empty if that was elsewhere."""
        while error is not None:
            for frame in reversed(traceback.extract_tb(error.__traceback__)):
                path = Path(frame.filename)
                if path.is_relative_to(self._folder):
                    return f" ({path.relative_to(self._folder)}, line {frame.lineno})"
            error = error.__cause__
        return ""


def _words(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # It is a class of the code's own.
        return ""
    return f": {text[:MAX_WORDS]}" if text else ""


def _frame(reply: Message) -> list[Blob]:
    try:
        return frame_of(reply)
    except Misuse as error:
        raise TrainingFailed(
            f"the task's code returned what cannot be passed on: {error}"
        ) from None


if __name__ == "__main__":
    main()
