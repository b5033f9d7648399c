"""The experiments' harness: a run is a simulation, a result is kept, and tables say what they average."""

from __future__ import annotations

import os
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import bad_members
import codecs_quality
import numpy as np
import pytest
import remedies
import skew
import variates
from classifying import classified
from harness import Checkpoint, Experiment, file_of, parts_of, plain, run_all, run_one
from reporting import Options, executor_of, finals, markdown, mean_and_spread, results_of
from results import code_digest
from settings import Setting

from fl_node.arrays import Arrays
from fl_node.blobs.encoding import difference
from fl_node.blobs.model import encode_model
from fl_node.errors import TrainingDiverged
from fl_node.learner import Assignment, Learner, Measured, StepProgress, Trained, no_progress
from fl_node.learning.task import derive_genesis, make_learner
from fl_node.member.simulation import simulate

TINY = Setting(
    "tiny",
    rounds=1,
    learner={"kind": "classifier", "width": 4, "batch": 8},
    strategy={"work": {"steps": 2}},
    pictures=60,
    tests=100,
    members=2,
)


class OneStep:
    """Adds one to every weight, once."""

    def steps_for(self, epochs: int) -> int:
        return epochs

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        moved = {name: array + np.float32(1) for name, array in assignment.model.items()}
        return Trained(moved, {}, num_examples=7, steps=1, training_loss=0.5)

    def measure(self, model: Arrays, private: Arrays | None, training: bool = False) -> Measured:
        return Measured(0.0)


class Exploding(OneStep):
    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        raise TrainingDiverged("the losses are no longer finite")


def counted(at: Checkpoint) -> dict[str, float]:
    return {"tensors": float(len(at.model))}


def one_thread() -> Executor:
    return ThreadPoolExecutor(1)


def exploding(setting: Setting, index: int, learner: Learner) -> Learner:
    return Exploding()


def unwanted(setting: Setting, index: int, learner: Learner) -> Learner:
    raise AssertionError("this was to be read, not run")


@pytest.mark.slow
def test_a_run_trains_counts_and_measures() -> None:
    result = run_one(TINY, 1, classified, plain)
    assert result.steps == [4]  # two members, two steps each
    assert result.senders == [2]
    assert result.up[0] > result.down[0] > 0
    assert result.diverged is None
    assert 0 <= result.curve[-1]["accuracy"] <= 1


def test_a_run_gives_the_bytes_of_the_simulation_in_several_threads() -> None:
    seen: list[Arrays] = []

    def keep(at: Checkpoint) -> dict[str, float]:
        seen.append(at.model)
        return {}

    run_one(TINY, 1, keep, plain)
    manifest = TINY.manifest(1)
    learners = {
        member: make_learner(manifest, part, "cpu", 1)
        for member, part in parts_of(TINY, manifest).items()
    }
    with ThreadPoolExecutor(2) as executor:
        (done,) = simulate(manifest, learners, derive_genesis(manifest), executor=executor)
    assert encode_model(seen[-1]) == done.aggregated.blob


def test_a_result_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    renamed = replace(TINY, name="the same")
    with one_thread() as executor:
        first = run_all(Experiment([TINY], counted), [1], tmp_path, executor)
        again = run_all(Experiment([renamed], counted, unwanted), [1], tmp_path, executor)
        assert again["the same"] == [replace(first["tiny"][0], name="the same")]
        with pytest.raises(AssertionError, match="not run"):
            run_all(Experiment([renamed], counted, unwanted), [2], tmp_path, executor)


def test_the_command_line_names_the_executor_and_the_settings_to_run(tmp_path: Path) -> None:
    options = Options((1,), 1, tmp_path, "small", "digits", "cpu", False)
    options = replace(options, executor=f"{__name__}:one_thread", only=("iny", "none"))
    experiment = Experiment([TINY, replace(TINY, name="other", rounds=2)], counted)
    with pytest.raises(SystemExit) as ended:
        results_of(experiment, options)
    assert ended.value.code == 0
    assert list(tmp_path.iterdir()) == [file_of(experiment, TINY, 1, tmp_path)]


def test_runs_are_done_by_processes_unless_an_executor_is_named() -> None:
    with executor_of(Options((1,), 1, Path("unused"), "small", "digits", "cpu", False)) as executor:
        assert executor.submit(os.getpid).result() != os.getpid()


@pytest.mark.parametrize(
    "change",
    [
        {"rounds": 2},
        {"partition": "classes:2"},
        {"pictures": 61},
        {"strategy": {"work": {"steps": 3}}},
        {"variant": "noise"},
    ],
    ids=str,
)
def test_what_decides_a_result_is_in_its_key(change: dict[str, object]) -> None:
    experiment = Experiment([TINY], counted, bad_members.attacked)
    file = file_of(experiment, TINY, 1, Path())
    assert file_of(experiment, replace(TINY, **change), 1, Path()) != file
    assert file_of(experiment, TINY, 2, Path()) != file
    assert file_of(replace(experiment, measure=classified), TINY, 1, Path()) != file


@pytest.mark.parametrize("changed", ["measure.py", "package/rule.py"])
def test_another_version_of_the_code_has_results_of_its_own(changed: str, tmp_path: Path) -> None:
    (tmp_path / "package").mkdir()
    for name in ("measure.py", "package/__init__.py", "package/rule.py"):
        (tmp_path / name).write_text("one = 1\n")
    named = [tmp_path / "measure.py"], [tmp_path / "package"]
    before = code_digest(*named)
    assert code_digest(*named) == before
    (tmp_path / changed).write_text("one = 2\n")
    assert code_digest(*named) != before


def test_a_run_that_diverges_is_a_result_too() -> None:
    result = run_one(TINY, 1, counted, exploding)
    assert result.diverged == 1
    assert finals([result], "tensors") == "diverged, 1 of 1"


def test_a_private_last_layer_leaves_no_global_accuracy() -> None:
    strategy = {"preset": "fedper", "work": {"steps": 1}}
    result = run_one(replace(TINY, strategy=strategy), 1, classified, plain)
    assert finals([result], "accuracy") == "-"
    assert 0 <= result.curve[-1]["own"] <= 1


def test_a_member_alone_trains_on_its_part_only() -> None:
    alone = replace(TINY, alone=1)
    (part,) = parts_of(alone, alone.manifest(1)).values()
    both = list(parts_of(TINY, TINY.manifest(1)).values())
    assert np.array_equal(part.pixels_NCHW, both[1].pixels_NCHW)


@pytest.mark.parametrize("attack", bad_members.ATTACKS)
def test_bad_members_send_what_the_table_says(attack: str) -> None:
    model = {"weight": np.zeros(1_000, np.float32)}
    learner = bad_members.attacked(replace(TINY, variant=attack), bad_members.BAD[0], OneStep())
    trained = learner.train(Assignment(model, None, seed=1, steps=1))
    sent = difference(trained.shared, model)["weight"]
    expected = {"sign flipped": -1, "scaled by 100": 100, "constant": 1.3, "noise": 0}[attack]
    assert sent.mean() == pytest.approx(expected, abs=0.1)
    assert sent.std() == pytest.approx(1.0 if attack == "noise" else 0.0, abs=0.1)
    assert trained.num_examples == 7


def test_other_members_stay_honest() -> None:
    honest = OneStep()
    attacked = replace(TINY, variant="noise")
    assert bad_members.attacked(attacked, 0, honest) is honest
    assert bad_members.attacked(TINY, bad_members.BAD[0], honest) is honest


@pytest.mark.parametrize("script", [skew, remedies, bad_members, codecs_quality, variates])
@pytest.mark.parametrize(("size", "data"), [("small", "digits"), ("large", "cifar10")])
def test_every_setting_is_a_manifest(script: object, size: str, data: str) -> None:
    options = Options((1,), 1, Path("unused"), size, data, "cpu", False)
    settings = script.settings(options)
    assert len({setting.name for setting in settings}) == len(settings)
    for setting in settings:
        assert setting.manifest(1).rounds.count == setting.rounds


def test_tables_give_mean_and_standard_deviation() -> None:
    assert mean_and_spread([0.1, 0.2, 0.3], scale=100) == "20.0 ± 10.0"
    assert mean_and_spread([0.1, None]) == "diverged, 1 of 2"
    assert markdown([{"a": "1", "b": "2"}]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
