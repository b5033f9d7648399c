"""The relay as its clients see it: over HTTP, and not to be believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from chain.errors import EndpointInvalid, RelayUnusable
from chain.relay.health import Health, read_health
from chain.relay.outcome import Outcome, read_outcome
from chain.relay.submission import Submission, submission_to_json
from chain.text import shown
from chain.transport import AnswerTooLong, NoAnswer, StatusRefused, Transport
from chain.urls import http_parts, origin_of

ANSWER_SECONDS = 10.0
"""The longest that a relay may take for an answer."""


T = TypeVar("T")


class Carrier(Protocol):
    """Whoever takes signed acts."""

    def send(self, submission: Submission) -> Outcome:
        """Hand an act over, or ask again what became of it.

        Raises:
            RelayUnusable: There is no answer, or none that makes sense.
        """


class Relay:
    """A relay at a URL.

    Args:
        url: http:// or https://; the relay's own, without a path.
        seconds: The longest that an answer may take as a whole.

    Raises:
        EndpointInvalid: `url` is not such a URL.
    """

    def __init__(self, url: str, seconds: float = ANSWER_SECONDS) -> None:
        parts = http_parts(url)
        if parts is None:
            raise EndpointInvalid("expected the http:// or https:// URL of a relay")
        self._shown = origin_of(parts)
        self._acts, self._health = (
            Transport(url.rstrip("/") + path) for path in ("/acts", "/healthz")
        )
        self._seconds = seconds

    def __str__(self) -> str:
        return f"the relay at {self._shown}"

    def send(self, submission: Submission) -> Outcome:
        """Hand an act over, or ask again what became of it: the same act is taken once.

        Raises:
            RelayUnusable: There is no answer in time, or none that makes sense.
        """
        body = submission_to_json(submission)
        return self._answer(
            lambda: read_outcome(self._acts.post(body, self._seconds)), "take the act"
        )

    def health(self) -> Health:
        """What the relay says of itself.

        Raises:
            RelayUnusable: There is no answer in time, or none that makes sense.
        """
        return self._answer(lambda: read_health(self._health.get(self._seconds)), "say how it is")

    def _answer(self, ask: Callable[[], T], what: str) -> T:
        try:
            return ask()
        except AnswerTooLong:
            raise RelayUnusable(f"{self} gives an answer too long to be read") from None
        except (NoAnswer, StatusRefused) as error:
            raise RelayUnusable(f"{self} does not {what}: {shown(error)}") from None
        except ValueError as error:
            raise RelayUnusable(f"{self} does not answer as a relay: {shown(error)}") from None
