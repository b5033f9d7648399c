"""Getting another model by having the same updates arrive in another order."""

from __future__ import annotations

import itertools

import pytest
from doubles import MEMBERS, Federation

from chain.types import Address
from fl_node.member.next_action import Action


def final_digest(federation: Federation, order: tuple[Address, ...]) -> bytes:
    """Run the task to its end, the members acting in this order throughout."""
    nodes = [federation.start(member) for member in order]
    for _ in range(50):
        if {node.step().action for node in nodes} == {Action.FINISHED}:
            return federation.ledger.task_state(federation.task).parent_digest
    raise AssertionError("the task did not finish")


@pytest.fixture
def in_order(federate) -> bytes:
    return final_digest(federate(name="in order"), MEMBERS)


@pytest.mark.parametrize("order", list(itertools.permutations(MEMBERS))[1:])
def test_act_in_another_order(federate, in_order: bytes, order: tuple[Address, ...]) -> None:
    """12. Whoever is first or last to commit, reveal and attest: the bytes are the same."""
    assert final_digest(federate(name="reordered"), order) == in_order
