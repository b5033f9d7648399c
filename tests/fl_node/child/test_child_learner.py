"""A learner in a child process: what it passes on, what it checks, and how it goes on after each failure."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archives import wheel
from children import MODEL, PROGRAM, fake_code, fake_learner, fake_setup, has_ended, told
from quadratic import same_bits

from fl_node.child import learner as child_learner
from fl_node.child.learner import ChildLearner, build_genesis
from fl_node.code.blob import read_code
from fl_node.errors import (
    CodeRefused,
    DataUnusable,
    Misuse,
    NothingToSend,
    TrainingDiverged,
    TrainingFailed,
)
from fl_node.learner import Assignment


@pytest.fixture(scope="module")
def shared_learner() -> Iterator[ChildLearner]:
    with fake_learner() as opened:
        yield opened


@pytest.fixture
def learner(shared_learner: ChildLearner) -> Iterator[ChildLearner]:
    """After every test, whatever went wrong in it, the same learner trains."""
    yield shared_learner
    trained = shared_learner.train(told(""))
    assert trained.shared["w"].tolist() == [2, 3, 4]


@pytest.fixture
def hurried(learner: ChildLearner, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChildLearner]:
    """The learner, opened, with little time for its next call."""
    learner.open()
    with monkeypatch.context() as patch:
        patch.setattr(learner, "_timeout", 0.3)
        yield learner


def pid_of(learner: ChildLearner) -> int:
    assert learner._child is not None
    return learner._child.pid


def failure(learner: ChildLearner, what: str) -> str:
    """The line with which a training fails."""
    with pytest.raises(TrainingFailed) as failed:
        learner.train(told(what))
    text = str(failed.value)
    assert text.isprintable()
    assert len(text) < 2000
    return text


# What it passes on


def test_a_training_is_what_the_child_trained(learner: ChildLearner) -> None:
    trained = learner.train(told(""))
    assert list(trained.shared) == list(MODEL)
    assert same_bits(
        trained.shared,
        {name: np.asarray(array + array.dtype.type(1)) for name, array in MODEL.items()},
    )
    assert (trained.num_examples, trained.steps, trained.training_loss) == (12, 4, 0.1)
    assert trained.metrics["accuracy"] == 0.5
    assert np.isnan(trained.metrics["auc"])
    assert (trained.mean_gradient, trained.sent, trained.versions) == (None, {}, {})


def test_the_child_sees_the_whole_assignment(learner: ChildLearner) -> None:
    arrays: dict[str, Any] = {"w": np.array([0.5], np.float16)}
    assignment = Assignment(
        arrays, {}, (1 << 63) - 1, 9, 7, True, arrays, 0.1, 1 / 3, arrays, (arrays, arrays)
    )
    trained = learner.train(assignment)
    assert bytes(trained.private["told"]).decode() == repr(assignment)
    assert trained.mean_gradient is not None


def test_progress_reaches_the_caller(learner: ChildLearner) -> None:
    seen: list[Any] = []
    learner.train(told(""), lambda *said: seen.append(said))
    assert seen == [(1, 4, {"loss": 2.0}), (4, 4, {"loss": float("inf")})]


def test_private_arrays_come_back_unchanged(learner: ChildLearner) -> None:
    trained = learner.train(Assignment(MODEL, None, 1, 2))
    again = learner.train(Assignment(MODEL, trained.private, 1, 2))
    assert "told" in bytes(again.private["told"]).decode()


def test_steps_and_losses_are_asked_of_the_child(learner: ChildLearner) -> None:
    assert learner.steps_for(3) == 30
    measured = learner.measure(MODEL, None)
    assert measured.loss == 6.5
    assert measured.metrics["accuracy"] == 0.25
    assert learner.measure(MODEL, {}, training=True).loss == 106.5


def test_updates_state_the_versions_that_the_node_found() -> None:
    versions = {"torch": "2.15.0"}
    with ChildLearner(
        fake_setup(), fake_code(), MODEL, timeout=60, versions=versions, program=PROGRAM
    ) as one:
        assert one.train(told("")).versions == versions


def test_one_process_serves_all_calls_until_the_end() -> None:
    with fake_learner() as learner:
        pid = pid_of(learner)
        learner.train(told(""))
        learner.measure(MODEL, None)
        assert pid_of(learner) == pid
    assert has_ended(pid)


def test_no_process_is_started_before_it_is_needed() -> None:
    learner = fake_learner()
    assert learner._child is None
    assert learner.steps_for(1) == 10
    learner.close()
    learner.close()


def test_a_forgotten_learner_leaves_no_process() -> None:
    learner = fake_learner()
    learner.open()
    pid = pid_of(learner)
    del learner
    assert has_ended(pid)


def test_setups_arrive_as_they_were_sent() -> None:
    setup = fake_setup(
        knobs={"open": "nothing", "width": 96, "list": [1, "ü", None, {"a": True}]},
        share=("a.*", "b"), metrics=("auc",), losses={"training": "loss"}, held_out=Decimal("0.25"),
        data="folder:/x y", rule="dirichlet:0.5", index=1, count=3, device=None, threads=2, batch=32,
    )  # fmt: skip
    from fl_node.child.requests import open_request, setup_of

    assert setup_of(open_request(setup, {})) == setup


# What goes wrong at the beginning


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        (
            "raise",
            CodeRefused,
            r"raised ValueError: this is bad\\x1b\[2J!+ \(fake_kind\.py, line \d+\)",
        ),
        ("exit", CodeRefused, "raised SystemExit: 3"),
        ("_exit", CodeRefused, "ended its process, with exit code 5"),
        ("killed", CodeRefused, "was killed, perhaps because memory ran out"),
        ("no data", DataUnusable, "no folder of pictures here"),
        ("no frame", CodeRefused, "garbled"),
        ("diverge", CodeRefused, "no longer finite"),
    ],
)
def test_code_that_fails_at_the_beginning_is_refused(
    what: str, error: type[Misuse], message: str
) -> None:
    learner = fake_learner(knobs={"open": what})
    for attempt in (learner.open, lambda: learner.steps_for(1)):
        with pytest.raises(error, match=message) as refusal:
            attempt()
        assert type(refusal.value) is error
        assert str(refusal.value).isprintable()
        assert learner._child is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "import no_such_module",
            r"ModuleNotFoundError: No module named 'no_such_module' \(chest\.py, line 1\)",
        ),
        ("x = (", r"SyntaxError: '\(' was never closed \(chest\.py, line 1\)"),
        ("1 / 0", r"ZeroDivisionError: division by zero \(chest\.py, line 1\)"),
        ("x = 1", r"AttributeError: module 'chest' has no attribute 'open_learner'"),
    ],
)
def test_code_that_fails_while_it_is_imported_is_refused(text: str, message: str) -> None:
    program = ("-c", "from fl_node.child.serve import main; main({'fake': 'chest'})")
    setup = fake_setup(entry="chest:Chest")
    with pytest.raises(CodeRefused, match=message):
        ChildLearner(setup, read_code(text.encode()), MODEL, timeout=60, program=program).open()


def test_a_wheel_for_another_machine_is_refused() -> None:
    code = read_code(wheel("cp39-cp39-win32"))
    with pytest.raises(CodeRefused, match="a wheel built for cp39-cp39-win32"):
        ChildLearner(fake_setup(), code, MODEL, timeout=60, program=PROGRAM).open()


def test_a_kind_without_code_is_refused() -> None:
    with pytest.raises(Misuse, match="'other' has no code of its own"):
        fake_learner(kind="other").open()


def test_code_that_hangs_at_the_beginning_is_refused() -> None:
    with pytest.raises(CodeRefused, match="--training-timeout allows it more time"):
        fake_learner(knobs={"open": "hang"}, timeout=1.5).open()


def test_a_program_that_does_not_serve_is_refused() -> None:
    learner = ChildLearner(fake_setup(), fake_code(), MODEL, timeout=60, program=("-c", "1/0"))
    with pytest.raises(CodeRefused, match="exit code 1; it last printed: ZeroDivisionError"):
        learner.open()


def test_a_failure_to_open_again_costs_the_round_alone(learner: ChildLearner, monkeypatch) -> None:
    failure(learner, "killed")
    with monkeypatch.context() as patch:
        patch.setattr(learner, "_setup", fake_setup(knobs={"open": "no data"}))
        assert failure(learner, "").startswith("no folder of pictures here (fake_kind.py, line")


# What goes wrong in a training


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("raise", "raised ValueError: this is bad\\x1b[2J!!!"),
        ("unspeakable", "raised Unspeakable (fake_kind.py, line "),
        ("exit", "raised SystemExit: 3"),
        ("interrupt", "raised KeyboardInterrupt"),
        ("memory", "raised MemoryError"),
        ("no data", "no folder of pictures here"),
        ("_exit", "ended its process, with exit code 5"),
        ("abort", "crashed with SIGABRT"),
        ("killed", "was killed, perhaps because memory ran out"),
        ("words", "with exit code 0; it last printed: last \\x1b[31mwords"),
        ("no frame", "garbled its answer"),
        ("huge frame", f"announced an answer of {1 << 60} bytes; at most "),
        ("half frame", "was killed"),
        ("none", "raised AttributeError"),
        ("no arrays", "raised AttributeError"),
        ("objects", "returned what cannot be passed on: tensor"),
        ("empty private", "cannot be stored"),
    ],
)
def test_code_that_breaks_costs_its_round_alone(
    learner: ChildLearner, what: str, message: str
) -> None:
    assert message in failure(learner, what)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("nan", "returned a model whose 'w' is not finite"),
        ("nothing", "returned a model without 'b'"),
        ("other names", "returned a model without 'b'"),
        ("more names", "returned a model with 'more', which was not asked for"),
        ("other dtype", "whose 'w' is float64 (3,); expected float32 (3,)"),
        ("other shape", "whose 'w' is float32 (1,); expected float32 (3,)"),
        ("too much", "keeps 69206016 bytes of its own; at most 67108944 are allowed"),
        ("far too much", "announced an answer of"),
        ("strange private", "an array with the name 'x\\x1b[2J'"),
        ("no examples", "as number of examples: 0"),
        ("2**53 examples", "as number of examples: 9007199254740992"),
        ("2**400 examples", "garbled"),
        ("half an example", "ValueError"),
        ("no steps", "as number of steps: -1"),
        ("infinite loss", "as training loss: inf"),
        ("text as loss", "ValueError"),
        ("many metrics", "as metrics: {"),
        ("strange metrics", "as name in its metrics: 'a\\nb'"),
        ("text as metric", "ValueError"),
    ],
)
def test_what_the_child_returns_is_checked(learner: ChildLearner, what: str, message: str) -> None:
    assert message in failure(learner, what)


def test_a_mean_gradient_is_due_where_gradients_were_corrected(learner: ChildLearner) -> None:
    private = {"act": np.frombuffer(b"no gradient", np.uint8)}
    with pytest.raises(TrainingFailed, match="a mean gradient without 'b'"):
        learner.train(Assignment(MODEL, private, 1, 2, correction=MODEL))


def test_divergence_is_passed_on_and_costs_no_restart(learner: ChildLearner) -> None:
    learner.open()
    pid = pid_of(learner)
    with pytest.raises(TrainingDiverged, match="no longer finite at step 3"):
        learner.train(told("diverge"))
    assert pid_of(learner) == pid


@pytest.mark.parametrize("what", ["nan", "text"])
def test_losses_must_be_finite_numbers(learner: ChildLearner, what: str) -> None:
    with pytest.raises(TrainingFailed):
        learner.measure(MODEL, told(what).private)


@pytest.mark.parametrize("epochs", [98, 99])
def test_steps_must_be_a_number(learner: ChildLearner, epochs: int) -> None:
    with pytest.raises(TrainingFailed):
        learner.steps_for(epochs)


def test_what_code_prints_disturbs_nothing(learner: ChildLearner) -> None:
    for what in ("print", "flood", "forked copy"):
        assert learner.train(told(what)).num_examples == 12


@pytest.mark.parametrize(
    "what", ["hang", "busy", "endless progress", "silent frame", "close pipes"]
)
def test_code_that_never_answers_is_stopped(hurried: ChildLearner, what: str) -> None:
    pid = pid_of(hurried)
    assert (
        "--training-timeout allows it more time" in failure(hurried, what) or what == "close pipes"
    )
    assert has_ended(pid)


def test_code_that_does_not_read_is_stopped(hurried: ChildLearner) -> None:
    os.kill(pid_of(hurried), 19)  # SIGSTOP
    large = {"w": np.zeros(1 << 20, np.float32)}
    with pytest.raises(TrainingFailed, match="took too long"):
        hurried.train(Assignment(large, None, 1, 1))


@pytest.mark.parametrize("what", ["hang with grandchild", "die with grandchild"])
def test_processes_that_the_code_started_are_ended_too(
    learner: ChildLearner, tmp_path: Path, monkeypatch, what: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("HOME", str(tmp_path))
        learner.close()
        learner.open()
        patch.setattr(learner, "_timeout", 10.0)
        failure(learner, what)
    assert has_ended(int((tmp_path / "grandchild").read_text()))


def test_a_caller_who_gives_up_ends_the_child(learner: ChildLearner) -> None:
    def interrupted(step: int, steps: int, losses: dict[str, float]) -> None:
        raise KeyboardInterrupt

    learner.open()
    pid = pid_of(learner)
    with pytest.raises(KeyboardInterrupt):
        learner.train(told(""), interrupted)
    assert has_ended(pid)


def test_the_folder_of_a_child_goes_with_it(
    learner: ChildLearner, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    learner.close()
    learner.open()
    assert [path.name for path in tmp_path.glob("*/code/*.py")] == ["fake_kind.py"]
    failure(learner, "killed")
    assert not list(tmp_path.iterdir())


def open_files() -> Counter[str]:
    """What this process has open; a pipe and a socket have names that no other ever has.

    What an earlier test left behind may be closed at any time, so tests ask what there is more of.
    """
    found: Counter[str] = Counter()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found[str(descriptor.readlink())] += 1
    return found


def test_no_descriptor_leaks(learner: ChildLearner) -> None:
    failure(learner, "killed")
    before = open_files()
    for _ in range(3):
        failure(learner, "_exit")
    assert not open_files() - before


def test_a_machine_without_descriptors_or_space_says_so(monkeypatch, tmp_path: Path) -> None:
    for place, error in (
        ("os.pipe", errno.EMFILE),
        ("subprocess.Popen", errno.EAGAIN),
        ("pathlib.Path.mkdir", errno.ENOSPC),
    ):

        def fails(*_: Any, error: int = error, **__: Any) -> Any:
            raise OSError(error, os.strerror(error))

        before = open_files()
        with monkeypatch.context() as patch:
            patch.setattr(place, fails)
            with pytest.raises(
                CodeRefused, match=f"no process can be started: {os.strerror(error)}"
            ):
                fake_learner().open()
        assert not open_files() - before


def test_a_month_is_not_too_long() -> None:
    for timeout in (3e9, float("inf")):
        with fake_learner(timeout) as learner:
            assert learner.steps_for(1) == 10


# The genesis


def genesis(what: str, **more: Any) -> Any:
    setup = fake_setup(knobs={"genesis": what})
    return build_genesis(
        setup, fake_code(), **{"max_bytes": 5 << 20, "timeout": 60.0, "program": PROGRAM, **more}
    )


def test_the_code_makes_the_genesis() -> None:
    made = genesis("good")
    assert made["w"].tolist() == [0, 1, 2]
    assert (made["steps"].shape, made["steps"].dtype) == ((), np.int64)


@pytest.mark.parametrize(
    ("what", "message"),
    [("nan", "not finite"), ("none", "without tensors"), ("large", "announced an answer of"),
     ("empty", "cannot be stored"), ("text", "cannot be stored"), ("raise", "raised ValueError"),
     ("killed", "was killed"), ("diverge", "no longer finite")],
)  # fmt: skip
def test_what_is_no_genesis_is_refused(what: str, message: str) -> None:
    with pytest.raises(Misuse, match=message):
        genesis(what)


def test_a_genesis_that_never_comes_is_refused() -> None:
    with pytest.raises(CodeRefused, match="took too long"):
        genesis("hang", timeout=1.5)


def test_every_failure_of_a_child_is_one_that_costs_a_round() -> None:
    assert issubclass(TrainingFailed, NothingToSend)
    assert child_learner.OWN_BYTES == 64 << 20
