"""The global state that a task starts from, when its first model is a blob: no torch, and nobody's code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from doubles import small_manifest

from fl_node.blobs.model import encode_model
from fl_node.blobs.store import Store, open_store
from fl_node.errors import ManifestInvalid
from fl_node.manifest.code_learners import CodeLearner
from fl_node.manifest.manifest import Manifest
from fl_node.round.genesis import genesis_state, stored_genesis

FLOAT = np.float32
MODEL: dict[str, Any] = {
    "base.weight": np.arange(6, dtype=FLOAT).reshape(2, 3),
    "base.running_var": np.ones(3, FLOAT),
    "base.count": np.array(7, np.int64),
    "head.weight": np.full((1, 2), 0.5, np.float16),
    "ema.weight": np.arange(6, dtype=FLOAT).reshape(2, 3),
}
ROLES = {
    "statistics": ["*.running_var"],
    "at_least_zero": ["*.running_var"],
    "averages": [{"name": "ema", "of": "base", "half_life": 5}],
}


def manifest_of(digest: str = "cd" * 32, strategy: Any = "fedavg", **changes: Any) -> Manifest:
    learner = {"kind": "module", "code": "ab" * 32, "entry": "chest:Chest", "genesis": digest}
    return small_manifest(learner={**learner, "roles": ROLES, **changes}, strategy=strategy)


def test_it_is_the_shared_part_with_zeros_for_what_the_server_keeps_of_each_weight() -> None:
    state = genesis_state(manifest_of(strategy={"combine": "momentum"}), MODEL)
    kept = {name for name in state if name.startswith("server.")}
    assert state.keys() - kept == MODEL.keys()
    assert kept == {"server.momentum.base.weight", "server.momentum.head.weight"}
    assert state["head.weight"].dtype == np.float16


def test_what_is_not_shared_stays_with_its_member() -> None:
    state = genesis_state(manifest_of(strategy={"share": ["base.*", "ema.*"]}), MODEL)
    assert sorted(state) == ["base.count", "base.running_var", "base.weight", "ema.weight"]


@pytest.mark.parametrize(
    ("strategy", "changes", "said"),
    [
        ({"share": ["bsae.*"]}, {}, r"strategy.share: 'bsae.\*' matches no tensor.*base.\*"),
        ({"share": ["ema.*"]}, {}, "strategy.share: 'ema.weight' is the average of 'base.weight'"),
        ({"share": ["base.count"]}, {"roles": {}}, "strategy.share: no weight is shared"),
        ("fedavg", {"roles": {"statistics": ["*.runing_var"]}}, "roles.statistics: .*no tensor"),
        ("fedavg", {"roles": {"at_least_zero": ["x"]}}, "roles.at_least_zero: 'x' matches no"),
        (
            "fedavg",
            {"roles": {"averages": [{"name": "emma", "of": "base", "half_life": 1}]}},
            "roles.averages: 'emma",
        ),
        (
            "fedavg",
            {"roles": {"averages": [{"name": "head", "of": "base", "half_life": 1}]}},
            "roles.averages: 'head.weight' is the average of 'base.weight', which must have",
        ),
    ],
)
def test_a_manifest_that_does_not_fit_the_tensors_is_refused(
    strategy: Any, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(ManifestInvalid, match=said):
        genesis_state(manifest_of(strategy=strategy, **changes), MODEL)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_that_is_not_finite_is_refused(value: float) -> None:
    broken = {**MODEL, "base.weight": np.full((2, 3), value, FLOAT)}
    with pytest.raises(ManifestInvalid, match=r"tensor 'base\.weight' is not finite"):
        genesis_state(manifest_of(), broken)


class TestStored:
    def opened(self, manifest: Manifest, store: Store) -> dict[str, Any]:
        assert isinstance(manifest.learner, CodeLearner)
        return stored_genesis(manifest, manifest.learner, store)

    def test_it_follows_from_the_blob_that_the_manifest_names(self) -> None:
        store = open_store("memory://")
        manifest = manifest_of(store.put(encode_model(MODEL)).hex())
        found = self.opened(manifest, store)
        assert encode_model(found) == encode_model(genesis_state(manifest, MODEL))

    def test_another_tasks_store_does_not_have_it(self) -> None:
        with pytest.raises(ManifestInvalid, match=r"learner\.genesis: .*is this the task's store"):
            self.opened(manifest_of(), open_store("memory://"))

    def test_a_blob_that_is_no_model_is_refused(self) -> None:
        store = open_store("memory://")
        with pytest.raises(ManifestInvalid, match=r"learner\.genesis: "):
            self.opened(manifest_of(store.put(b"import os").hex()), store)
