"""Cases of `validate`: every rule, and what only looks like breaking one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cases.case import Case, case_of
from cases.history import History
from cases.samples import ALICE, everyone, history_of, manifest_of, moved, played
from chain.types import Address

Reasons = Mapping[Address, str]
NOBODY: Reasons = {}


def cases() -> Iterator[Case]:
    """The verb's cases."""
    yield _case("honest", played(history_of()))
    history = history_of(manifest_of(limits={"update_norm": "1"}))
    sent = everyone(history, size=2.0**-6)
    sent[ALICE] = history.update(ALICE, moved(history, ALICE, size=64.0))
    history.play(sent)
    yield _case("norm_limit_fail", history, {ALICE: "norm_limit"})


def _case(name: str, history: History, reasons: Reasons = NOBODY) -> Case:
    """A case of one round: who is left out, and because of what."""
    updates = [
        {"round": 1, "client": one.client, "left_out_because": reasons.get(one.client)}
        for one in history.played_reveals
    ]
    return case_of("validate", name, history, {"updates": updates})
