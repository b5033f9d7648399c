"""scripts/bench/flower.py: the app that it runs, and the task that it opens, are what they say."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("flwr")

from pages import ROOT

BENCH = ROOT / "scripts/bench"


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCH)
    monkeypatch.syspath_prepend(BENCH / "resting_app")


def test_the_app_has_the_model_of_the_other_benchmarks() -> None:
    from resting.model import arrays
    from workload import dcgan_sized

    ours, app = dcgan_sized(3), arrays(3)
    assert all(np.array_equal(ours[name], app[name]) for name in ours.keys() | app.keys())


def test_the_app_is_the_same_without_a_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    from flower_child import SETUP

    from fl_node.flower.open import open_learner
    from fl_node.learner import Assignment

    monkeypatch.delenv("GANCHOR_FLOWER", raising=False)
    model = {"w": np.ones(2, np.float32)}
    trained = open_learner(SETUP, model).train(Assignment(model, None, 1, 1))
    assert trained.num_examples == 100
    assert np.allclose(trained.shared["w"], 1.001)


def test_the_task_is_a_manifest(tmp_path: Path) -> None:
    from doubles import MEMBERS
    from flower_rounds import APP, TASK

    from fl_node.manifest.packing import draft_of

    members = ", ".join(f'"{member}"' for member in MEMBERS)
    written = tomllib.loads(TASK.format(members=members, rounds=2, app=APP))
    draft = draft_of(written, tmp_path)
    assert draft.manifest.learner.entry == "resting.client_app:app"
    assert draft.maker == "resting.model:arrays"
