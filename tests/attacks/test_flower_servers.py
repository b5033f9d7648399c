"""A Flower server that lies about what it averaged: nodes that trust it let it, and the audit finds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from doubles import MEMBERS, Federation
from flower_federation import anchored, flower_manifest, genesis_record, nodes_of

from chain.types import Phase, TaskState
from fl_node.audit import AuditReport, Status, audit
from fl_node.blobs.model import decode_model, encode_model, load_model
from fl_node.flower.strategy import Anchored
from fl_node.history.record import attempts_of_current_round
from fl_node.round.aggregate import Aggregated, aggregate_round


@pytest.fixture
def federation(federate: Callable[..., Federation]) -> Federation:
    return federate(flower_manifest())


class Altering(Anchored):
    """Averages honestly, and adds a little."""

    def _aggregate(self, state: TaskState) -> Aggregated:
        honest = super()._aggregate(state)
        moved = {name: array + np.float32(0.5) for name, array in decode_model(honest.blob).items()}
        return replace(honest, blob=encode_model(moved))


class Dropping(Anchored):
    """Leaves out the second member, whose update is valid, and says so."""

    def _aggregate(self, state: TaskState) -> Aggregated:
        reveals = attempts_of_current_round(self._ledger.history(self._task)).reveals
        kept = [one for one in reveals if one.client != MEMBERS[1]]
        parent = load_model(self._store, state.parent_digest, 1 << 20)
        return aggregate_round(self._store, self._manifest, parent, kept)


class Inventing(Anchored):
    """Averages one more update than there is: that of a member nobody knows, with as many examples as all others."""

    def _aggregate(self, state: TaskState) -> Aggregated:
        honest = super()._aggregate(state)
        parent = load_model(self._store, state.parent_digest, 1 << 20).arrays
        invented = {name: np.full_like(array, 3) for name, array in parent.items()}
        both = {name: (array + invented[name]) / np.float32(2)
                for name, array in decode_model(honest.blob).items()}  # fmt: skip
        return replace(honest, blob=encode_model(both))


def served_by(kind: type[Anchored], federation: Federation, verify: bool) -> list[str]:
    grid = nodes_of(federation, verify)
    anchored(federation, kind=kind).start(grid, genesis_record(federation), num_rounds=2)
    return grid.errors


def audited(federation: Federation) -> AuditReport:
    return audit(lambda: federation.ledger, federation.store, federation.task)


def is_final(federation: Federation) -> bool:
    return federation.ledger.task_state(federation.task).phase is Phase.FINISHED


@pytest.mark.parametrize(
    ("server", "steps"),
    [(Dropping, {"A6", "A7"}), (Altering, {"A7"}), (Inventing, {"A7"})],
    ids=["drops", "alters", "invents"],
)
def test_a_server_that_lies_about_an_update_is_found_by_the_audit(
    federation: Federation, server: type[Anchored], steps: set[str]
) -> None:
    assert not served_by(server, federation, verify=False)
    assert is_final(federation), "nodes that trust the server attest to what it sends"
    report = audited(federation)
    found = {step for step, status in report.statuses.items() if status is Status.FINDINGS}
    assert found == steps
    assert {finding.round for finding in report.findings} == {1, 2}


@pytest.mark.parametrize(
    "server", [Dropping, Altering, Inventing], ids=["drops", "alters", "invents"]
)
def test_nodes_that_verify_attest_to_no_lie(federation: Federation, server: type[Anchored]) -> None:
    errors = served_by(server, federation, verify=True)
    assert errors and all("does not come to what the server announced" in one for one in errors)
    assert not audited(federation).rounds, "nothing became final"
