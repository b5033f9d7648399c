"""What a node asks of the chain does not grow with the history, whatever its strategy looks back at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from doubles import MEMBERS, Federation, run, small_manifest

from chain.types import Entry
from fl_node.member.participant import Participant

ROUNDS = 12


class Counting:
    """A member's ledger, which counts the entries that are read of the log."""

    def __init__(self, target: Any) -> None:
        self._target = target
        self.read = 0

    def history(self, task: int, from_block: int = 0) -> Iterator[Entry]:
        for entry in self._target.history(task, from_block):
            self.read += 1
            yield entry

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)


def costs(federation: Federation, restarting: bool) -> list[int]:
    """The entries that the first member reads in each round, restarted before every step or not."""
    ledger = Counting(federation.ledger.acting_as(MEMBERS[0]))
    others = [federation.start(member) for member in MEMBERS[1:]]
    node: Participant = federation.start(MEMBERS[0], ledger)
    read = []
    for number in range(1, ROUNDS + 1):
        ledger.read = 0
        while federation.ledger.task_state(federation.task).round == number < ROUNDS:
            if restarting:
                node = federation.start(MEMBERS[0], ledger)
            for one in (node, *others):
                one.step()
        read.append(ledger.read)
    return read[:-1]


@pytest.mark.parametrize("restarting", [False, True])
@pytest.mark.parametrize(
    "strategy",
    [{}, {"train": "adaptive_proximal"}, {"send": {"kind": "relevance", "threshold": 0}}],
)
def test_a_round_costs_the_same_at_its_end(
    federate: Callable[..., Federation], strategy: dict[str, Any], restarting: bool
) -> None:
    rounds = {"count": ROUNDS, "min_updates": 1}
    read = costs(federate(small_manifest(rounds=rounds, strategy=strategy)), restarting)
    assert sum(read[2:5]) == sum(read[8:11]) < 90  # Who attests takes turns.


def test_what_is_kept_changes_no_byte(federate: Callable[..., Federation]) -> None:
    """A node whose log file is gone trains from the same past."""
    manifest = small_manifest(
        rounds={"count": 4, "min_updates": 1}, strategy={"train": "adaptive_proximal"}
    )
    undisturbed = run(federate(manifest))
    federation = federate(manifest, "forgetful")
    for _ in range(100):
        for member in MEMBERS:
            (federation.folder / member / "log.sqlite").unlink(missing_ok=True)
            federation.start(member).step()
    assert federation.ledger.task_state(federation.task).parent_digest == undisturbed
