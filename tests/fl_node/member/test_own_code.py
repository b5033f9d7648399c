"""From a manifest with code of one's own to what a child is told, and to few children at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from children import MODEL
from doubles import small_manifest

from fl_node.blobs.model import encode_model
from fl_node.blobs.store import Store, open_store
from fl_node.child.learner import ChildLearner
from fl_node.errors import CodeRefused, ManifestInvalid, Misuse
from fl_node.manifest.code_learners import CodeLearner
from fl_node.manifest.manifest import Manifest
from fl_node.manifest.packing import Draft
from fl_node.member.own_code import Turns, completed, genesis_of, own_code, setup_of

SOURCE = b"raise RuntimeError('nothing here is imported')\n"


def in_store(kind: str = "module", **changes: Any) -> tuple[Store, Manifest, CodeLearner]:
    store = open_store("memory://")
    learner = {
        "kind": kind,
        "code": store.put(SOURCE).hex(),
        "entry": "chest:Chest",
        "genesis": store.put(encode_model(MODEL)).hex(),
        **changes,
    }
    manifest = small_manifest(learner=learner)
    assert isinstance(manifest.learner, CodeLearner)
    return store, manifest, manifest.learner


class TestConsent:
    def test_allowed_code_is_read_with_its_first_model_and_versions(self) -> None:
        store, manifest, learner = in_store(requires=["numpy>=2"])
        own = own_code(Draft(manifest), learner, store, {bytes.fromhex(learner.code)})
        assert own.code.blob == SOURCE
        assert own.versions == {"numpy": np.__version__}
        assert sorted(own.genesis) == sorted(MODEL)

    def test_without_consent_the_store_is_not_even_asked(self) -> None:
        _, manifest, learner = in_store()
        with pytest.raises(CodeRefused, match="--allow-code"):
            own_code(Draft(manifest), learner, None, set())

    def test_a_missing_package_is_said_before_anything_runs(self) -> None:
        store, manifest, learner = in_store(requires=["nosuchthing>=1"])
        with pytest.raises(CodeRefused, match="nosuchthing"):
            own_code(Draft(manifest), learner, store, {bytes.fromhex(learner.code)})

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"code": "ab" * 32}, "the task's code abab"),
            ({"genesis": "ab" * 32}, "learner.genesis"),
        ],
    )
    def test_what_the_store_lacks_opens_no_task(self, change: dict[str, str], said: str) -> None:
        store, manifest, learner = in_store(**change)
        with pytest.raises(Misuse, match=said):
            genesis_of(Draft(manifest), learner, store)

    def test_a_store_is_needed_for_what_is_named_by_digest(self) -> None:
        _, manifest, learner = in_store()
        with pytest.raises(Misuse, match="give the task's --store"):
            own_code(Draft(manifest), learner, None, {bytes.fromhex(learner.code)})

    def test_a_complete_draft_stays_as_it_is(self) -> None:
        _, manifest, _ = in_store()
        draft = Draft(manifest)
        assert completed(draft) is draft

    def test_a_pattern_that_matches_no_tensor_opens_no_task(self) -> None:
        store, manifest, learner = in_store(roles={"statistics": ["nothing"]})
        with pytest.raises(ManifestInvalid, match=r"roles\.statistics"):
            genesis_of(Draft(manifest), learner, store)


class TestSetup:
    def test_a_module_is_told_its_batch_and_share(self) -> None:
        _, manifest, learner = in_store(batch=7, knobs={"rate": "0.1"}, metrics=["auc"])
        setup = setup_of(manifest, learner)
        assert (setup.kind, setup.entry, setup.batch) == ("module", "chest:Chest", 7)
        assert (setup.knobs, setup.metrics, setup.losses) == ({"rate": "0.1"}, ("auc",), {})
        assert (setup.seed, setup.share, setup.held_out) == (5, ("*",), manifest.data.held_out)

    def test_a_flower_app_is_told_which_metrics_are_its_losses(self) -> None:
        _, manifest, learner = in_store("flower", losses={"training": "train_loss"})
        setup = setup_of(manifest, learner, genesis="app.task:Net")
        assert (setup.losses, setup.batch) == ({"training": "train_loss"}, 0)
        assert setup.genesis == "app.task:Net"


class Resting(ChildLearner):
    """Counts, and starts no process."""

    def __init__(self, running: list[Resting]) -> None:
        self._all = running

    def steps_for(self, epochs: int) -> int:
        if self not in self._all:
            self._all.append(self)
        return len(self._all)

    def close(self) -> None:
        self._all.remove(self)


def test_no_more_children_run_than_may_and_the_one_that_rested_longest_ends() -> None:
    running: list[Resting] = []
    children = [Resting(running) for _ in range(4)]
    with Turns(most=2) as turns:
        learners = [turns.learner(child) for child in children]
        for index in (0, 1, 0, 2, 3, 0):
            assert learners[index].steps_for(1) <= 2
        assert running == [children[3], children[0]]
    assert running == []
