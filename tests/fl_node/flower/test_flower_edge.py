"""A member whose devices are the nodes of a Flower federation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from doubles import MEMBERS, DriftingLearner, Federation
from flower_federation import ThreadGrid, flower_manifest, moving_app, nodes_of
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from chain.types import Phase
from fl_node.audit import audit
from fl_node.errors import TrainingFailed
from fl_node.flower.edge import GridLearner
from fl_node.flower.passing import flower_learner
from fl_node.learner import Assignment
from fl_node.manifest.code_learners import FlowerLearner
from fl_node.member.next_action import Action

MODEL = {"w": np.arange(4, dtype=np.float32)}


@pytest.fixture
def choice() -> FlowerLearner:
    manifest = flower_manifest(learner={"metrics": ["eval_loss"], "requires": ["numpy>=1"]})
    return flower_learner(manifest)


def wards(federate: Callable[..., Federation], app: Any = moving_app) -> ThreadGrid:
    """Three nodes whose app has no mod: steps of 0.25, 1 and 2.25."""
    return nodes_of(federate(flower_manifest()), app=lambda mods: app([]))


def assignment() -> Assignment:
    return Assignment(model=MODEL, private=None, seed=0, steps=1)


def test_the_update_is_the_mean_of_the_nodes(
    federate: Callable[..., Federation], choice: FlowerLearner
) -> None:
    trained = GridLearner(wards(federate), choice).train(assignment())
    assert trained.num_examples == 30
    np.testing.assert_array_equal(
        trained.shared["w"], np.float32(MODEL["w"].astype(float) + 3.5 / 3)
    )
    assert trained.training_loss == pytest.approx(1.0)
    assert trained.versions == {"numpy": np.__version__}


def test_the_nodes_measure_together(
    federate: Callable[..., Federation], choice: FlowerLearner
) -> None:
    measured = GridLearner(wards(federate), choice).measure(MODEL, None)
    assert measured.loss == measured.metrics["eval_loss"] == pytest.approx(1.5)


def half_failing(mods: list[Any]) -> ClientApp:
    """The node with the largest step has no data."""
    app = ClientApp(mods=mods)
    moving = moving_app([])

    @app.train()
    def train(message: Message, context: Context) -> Message:
        if context.node_config["step"] == 2.25:
            raise RuntimeError("no data")
        return moving(message, context)

    return app


def test_a_node_that_fails_is_left_out_if_enough_are_left(
    federate: Callable[..., Federation], choice: FlowerLearner
) -> None:
    grid = wards(federate, half_failing)
    trained = GridLearner(grid, choice, least=2).train(assignment())
    assert trained.num_examples == 20
    with pytest.raises(TrainingFailed, match=r"2 of 3 nodes .* 3 are needed: no data"):
        GridLearner(grid, choice, least=3).train(assignment())


def test_without_nodes_there_is_nothing_to_send(
    federate: Callable[..., Federation], choice: FlowerLearner
) -> None:
    grid = wards(federate)
    grid.lost = set(grid.apps)
    with pytest.raises(TrainingFailed, match="0 of 0 nodes"):
        GridLearner(grid, choice).train(assignment())


def test_a_member_with_wards_takes_part_like_any_other(
    federate: Callable[..., Federation],
) -> None:
    federation = federate(flower_manifest(), "hospitals")
    edge = GridLearner(wards(federate), flower_learner(federation.manifest))
    federation.learners = {
        MEMBERS[0]: edge,  # type: ignore[dict-item]
        MEMBERS[1]: DriftingLearner(2),
        MEMBERS[2]: DriftingLearner(3),
    }
    nodes = [federation.start(member) for member in MEMBERS]
    while {node.step().action for node in nodes} != {Action.FINISHED}:
        pass
    assert federation.ledger.task_state(federation.task).phase is Phase.FINISHED
    report = audit(lambda: federation.ledger, federation.store, federation.task)
    assert not report.findings
    assert [
        update.num_examples for update in report.rounds[0].updates if update.client == MEMBERS[0]
    ] == [30]
