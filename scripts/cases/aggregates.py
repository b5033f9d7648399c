"""Cases of `aggregate`: every rule of aggregation and every codec, and digests that are not what a round comes to."""

from __future__ import annotations

from collections.abc import Iterator

from cases.case import Case, case_of
from cases.history import History
from cases.samples import everyone, history_of, played
from chain.types import RoundFinalised
from fl_node.history.record import members_in


def cases() -> Iterator[Case]:
    """The verb's cases."""
    yield _case("weighted_mean", played(history_of()))
    history = history_of()
    history.send(everyone(history))
    blob = bytearray(history.aggregate().blob)
    blob[-1] ^= 1
    history.attest(history.put(bytes(blob)), 0b111)
    yield case_of("aggregate", "last_bit_fail", history, {"finding": "A7", "round": 1})


def _case(name: str, history: History) -> Case:
    finals = [e.event for e in history.entries if isinstance(e.event, RoundFinalised)]
    rounds = [
        {
            "round": final.round,
            "aggregate": "0x" + final.aggregate_digest.hex(),
            "included": list(members_in(history.manifest.addresses, final.included)),
        }
        for final in finals
    ]
    return case_of("aggregate", name, history, {"rounds": rounds})
