"""Tries inputs on a decoder, and counts what came of them."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from random import Random

from fuzzing.decoders import Decoder
from fuzzing.mutations import mutated

SLOW = 2.0
"""Seconds of the processor that no input may take; the inputs here have some 100 KB at most."""


class Broke(Exception):
    """An input got something else out of a decoder than an answer or a refusal, or took too long."""

    def __init__(self, seed: int, what: str, content: bytes) -> None:
        super().__init__(f"seed {seed}: {what}; {len(content)} bytes: {content[:200]!r}")
        self.seed = seed
        self.content = content


@dataclass
class Tally:
    """What came of the inputs so far: how many were accepted, and refused by which error."""

    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    slowest_seed: int = 0

    @property
    def tried(self) -> int:
        """Inputs in all."""
        return self.accepted + self.refused.total()


def try_seed(decoder: Decoder, seed: int, tally: Tally) -> None:
    """Try the input that follows from a seed, and count what came of it.

    Raises:
        Broke: An error that the decoder may not raise, a warning, a wrong answer, or more than `SLOW` seconds.
    """
    content = mutated(Random(seed), decoder.samples)
    begun = time.process_time()
    refusal = _refusal(decoder, seed, content)
    seconds = time.process_time() - begun
    if seconds > SLOW:
        raise Broke(seed, f"took {seconds:.1f} s", content)
    if refusal is None:
        tally.accepted += 1
    else:
        tally.refused[refusal] += 1
    if seconds > tally.slowest:
        tally.slowest, tally.slowest_seed = seconds, seed


def _refusal(decoder: Decoder, seed: int, content: bytes) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            decoder.read(content)
    except decoder.refusals as refusal:
        return type(refusal).__name__
    except Exception as error:
        raise Broke(seed, f"{type(error).__name__}: {error}"[:500], content) from error
    return None
