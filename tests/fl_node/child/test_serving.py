"""The kinds that the child serves: what it trains is what a learner in the node's own process would train."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from quadratic import equal, same_bits

from fl_node.child.learner import ChildLearner, build_genesis
from fl_node.child.serve import KINDS
from fl_node.child.setup import Setup
from fl_node.code.blob import read_code
from fl_node.code.packing import pack
from fl_node.errors import Misuse, TrainingFailed
from fl_node.learner import Assignment

CODE = read_code(pack(Path(__file__).parents[2] / "own_models.py"))
PRICES = Setup(kind="module", entry="own_models:Prices", seed=3, data="1", batch=16)
RING = Setup(kind="module", entry="own_models:Ring", seed=3, data="1", batch=16)
LONG = 120.0


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_opens_learners_and_makes_geneses(kind: str) -> None:
    room = import_module(KINDS[kind])
    assert callable(room.open_learner)
    assert callable(room.build_genesis)


@pytest.mark.slow
@pytest.mark.parametrize("setup", [PRICES, RING], ids=["regression", "gan"])
def test_a_child_trains_to_the_same_bytes(setup: Setup) -> None:
    from fl_node.learning import own

    genesis = own.build_genesis(setup)
    made = build_genesis(setup, CODE, max_bytes=1 << 20, timeout=LONG)
    assert same_bits(made, {name: genesis[name] for name in made})
    zeros = {name: np.zeros_like(array) for name, array in genesis.items()}
    here = own.open_learner(setup, genesis)
    with ChildLearner(setup, CODE, genesis, timeout=LONG) as there:
        assert there.steps_for(2) == here.steps_for(2)
        private = None
        for seed in (1, 2):
            assignment = Assignment(genesis, private, seed, 5, mu=0.1, correction=zeros)
            trained = there.train(assignment)
            assert equal(trained, here.train(assignment))
            private = trained.private
            for training in (True, False):
                told, known = (
                    learner.measure(trained.shared, private, training) for learner in (there, here)
                )
                assert told == known
        with pytest.raises(TrainingFailed):
            there.train(Assignment({"x": np.ones(1, np.float32)}, None, 1, 2))


@pytest.mark.slow
def test_a_genesis_that_does_not_fit_the_code_is_refused() -> None:
    other = {"x": np.ones(1)}
    with pytest.raises(Misuse, match=r"the genesis lacks 'base\.bias', which the code's model has"):
        ChildLearner(PRICES, CODE, other, timeout=LONG).open()
