"""A tracker behind a network, told in a thread: a server that is slow, or gone, holds up no round."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from queue import Queue
from threading import Thread

from fl_node.cli.tracking.trackers import Picture, Tracker

MOST_WAITING = 64
"""What may wait to be sent. More means that the server is much slower than the rounds."""

CLOSE_SECONDS = 5.0
"""How long the end of a node waits for what is not yet sent; less than a stopped node has to leave."""

Act = Callable[[Tracker], None]


class Beside:
    """Opens a tracker, and tells it everything, in a thread. Each method raises what went wrong before.

    Args:
        open: Opens the tracker.
        close_seconds: How long `close` waits.
    """

    def __init__(self, open: Callable[[], Tracker], close_seconds: float = CLOSE_SECONDS) -> None:
        self._open, self._close_seconds = open, close_seconds
        self._waiting: Queue[Act | None] = Queue(MOST_WAITING)
        self._error: Exception | None = None
        self._thread = Thread(target=self._work, daemon=True, name="tracking")
        self._thread.start()

    def numbers(self, round: int, values: Mapping[str, float]) -> None:
        """Have numbers sent; see `Tracker`.

        Raises:
            Exception: An earlier call failed, or too much waits to be sent.
        """
        self._later(lambda tracker: tracker.numbers(round, values))

    def picture(self, round: int, name: str, pixels: Picture) -> None:
        """Have a picture sent; as `numbers`."""
        self._later(lambda tracker: tracker.picture(round, name, pixels))

    def close(self) -> None:
        """Wait a little for what is not yet sent; as `numbers`."""
        self._later(lambda tracker: tracker.close())
        self._later(None)
        self._thread.join(self._close_seconds)
        if self._thread.is_alive():
            raise TimeoutError(f"what was left was not sent within {self._close_seconds:g} s")
        self._raise_error()

    def _later(self, act: Act | None) -> None:
        self._raise_error()
        if self._waiting.full():
            raise TimeoutError(f"{MOST_WAITING} messages wait to be sent")
        self._waiting.put_nowait(act)  # Nobody else puts.

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            tracker = self._open()
            while act := self._waiting.get():
                act(tracker)
        except Exception as error:
            self._error = error
