"""Opening an app by its name, as the child process does, and making the model that a task starts from."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("flwr")

from flower_apps import MODEL, assignment

from fl_node.child.setup import Setup
from fl_node.errors import CodeRefused, TrainingFailed
from fl_node.flower import open as opening
from fl_node.flower.open import build_genesis, open_learner

APP = """
import random

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.client import NumPyClient

app = ClientApp()
old = ClientApp(client_fn=lambda context: NumPyClient().to_client())
nothing = ClientApp()
number = 3


class Net:
    def state_dict(self):
        return {"w": np.zeros((2, 3), np.float32), "b": np.array(random.random())}


def listed():
    return [np.zeros(2, np.float32), np.ones(1)]


def record():
    return ArrayRecord({"w": Array(np.zeros(2))})


def empty():
    return {}


def text():
    return "weights"


def without_elements():
    return {"w": np.zeros((0, 3))}


def of_bools():
    return {"w": np.zeros(3, bool)}


def odd():
    return {"w": object()}


def failing():
    raise ValueError("no weights\\nhere")


@app.train()
def train(message, context):
    arrays = message.content["arrays"]
    step = context.run_config["rate"] * context.node_config["num-partitions"]
    moved = {name: Array((array.numpy() + step).astype(np.float32)) for name, array in arrays.items()}
    metrics = MetricRecord({"num-examples": 1 + context.node_config["partition-id"]})
    return Message(RecordDict({"arrays": ArrayRecord(moved), "metrics": metrics}), reply_to=message)
"""


@pytest.fixture(autouse=True)
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An app that can be imported as `tiny_app`."""
    (tmp_path / "tiny_app.py").write_text(APP)
    (tmp_path / "pyproject.toml").write_text("[tool.flwr.app.config]\nrate = 0.5\n")
    (tmp_path / "broken_app.py").write_text("import no_such_library")
    monkeypatch.syspath_prepend(tmp_path)
    with monkeypatch.context() as patched:
        for name in ("tiny_app", "broken_app"):
            patched.delitem(sys.modules, name, raising=False)
        yield
        sys.modules.pop("tiny_app", None)


def setup(entry: str = "tiny_app:app", **rest: Any) -> Setup:
    return Setup(kind="flower", entry=entry, seed=3, **rest)


def test_an_app_is_opened_with_its_configuration_and_this_member_s_part() -> None:
    trained = open_learner(setup(index=1, count=4), MODEL).train(assignment())

    assert (trained.shared["w"] == 2).all()
    assert trained.num_examples == 2


def test_knobs_and_the_node_s_configuration_come_last() -> None:
    told = setup(knobs={"rate": "2.0"}, data="partition-id=6", index=1, count=3)
    trained = open_learner(told, MODEL).train(assignment())

    assert (trained.shared["w"] == 6).all()
    assert trained.num_examples == 7


def test_an_error_says_where_in_the_app_it_was_raised() -> None:
    learner = open_learner(setup(data="num-partitions=three"), MODEL)

    line = 1 + APP[: APP.index("    step = ")].count("\n")
    with pytest.raises(TrainingFailed, match=rf"TypeError.* \(tiny_app\.py, line {line}\)$"):
        learner.train(assignment())


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("tiny_app:number", "is int, expected a Flower ClientApp"),
        ("tiny_app:missing", "cannot be imported: AttributeError"),
        ("no_such_app:app", "cannot be imported: ModuleNotFoundError"),
        ("broken_app:app", "No module named 'no_such_library'"),
        ("tiny_app:nothing", "no function to train with"),
        ("tiny_app:old", "made with client_fn"),
        ("", "cannot be imported"),
    ],
)
def test_an_entry_that_cannot_be_opened_is_one_line(entry: str, said: str) -> None:
    with pytest.raises(CodeRefused, match=said) as refusal:
        open_learner(setup(entry), MODEL)
    assert "\n" not in str(refusal.value)


def test_without_flower_one_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise opening.PackageNotFoundError(name)

    monkeypatch.setattr(opening, "version", missing)
    with pytest.raises(CodeRefused, match=r'pip install "ganchor\[flower\]"'):
        open_learner(setup(), MODEL)


def test_another_version_of_flower_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "version", lambda name: "1.43.0")

    with pytest.raises(
        CodeRefused, match=r"Flower 1\.43\.0 is installed here, and 1\.42 is expected"
    ):
        open_learner(setup(), MODEL)


@pytest.mark.parametrize(
    ("genesis", "shapes"),
    [
        ("Net", {"w": (2, 3), "b": ()}),
        ("record", {"w": (2,)}),
        ("listed", {"0": (2,), "1": (1,)}),
    ],
)
def test_a_genesis_comes_from_a_callable(genesis: str, shapes: dict[str, Any]) -> None:
    arrays = build_genesis(setup(genesis=f"tiny_app:{genesis}"))

    assert {name: array.shape for name, array in arrays.items()} == shapes


def test_the_seed_determines_the_genesis() -> None:
    one, again = (build_genesis(setup(genesis="tiny_app:Net"))["b"] for _ in range(2))

    assert one == again


def test_an_app_with_client_fn_gets_a_model_by_position() -> None:
    arrays = build_genesis(setup("tiny_app:old", genesis="tiny_app:Net"))

    assert list(arrays) == ["0", "1"]
    open_learner(setup("tiny_app:old"), arrays)


def test_a_task_of_an_app_that_cannot_train_is_not_even_opened() -> None:
    with pytest.raises(CodeRefused, match="no function to train with"):
        build_genesis(setup("tiny_app:nothing", genesis="tiny_app:Net"))


@pytest.mark.parametrize(
    ("genesis", "said"),
    [
        ("", "write a callable in learner.genesis"),
        ("tiny_app:missing", "cannot be imported"),
        ("tiny_app:failing", "raised ValueError: no weights here"),
        ("tiny_app:number", "raised TypeError"),
        ("tiny_app:empty", "got dict"),
        ("tiny_app:text", "got str"),
        ("tiny_app:without_elements", r"'w' of dtype float64 and shape \(0, 3\)"),
        ("tiny_app:of_bools", "'w' of dtype bool"),
        ("tiny_app:odd", "'w' of dtype object"),
    ],
)
def test_a_genesis_that_cannot_be_used_is_one_line(genesis: str, said: str) -> None:
    with pytest.raises(CodeRefused, match=said) as refusal:
        build_genesis(setup(genesis=genesis))
    assert "\n" not in str(refusal.value)


@pytest.mark.slow
def test_a_torch_module_is_a_genesis_with_all_its_buffers() -> None:
    torch = pytest.importorskip("torch")
    from fl_node.flower.genesis import arrays_from

    arrays = arrays_from(torch.nn.BatchNorm2d(2), positional=False)
    assert (arrays["num_batches_tracked"].dtype, arrays["num_batches_tracked"].shape) == (
        np.dtype(np.int64),
        (),
    )
    with pytest.raises(CodeRefused, match="tensor w: "):
        arrays_from({"w": torch.zeros(2, dtype=torch.bfloat16)}, positional=False)
