"""A user's data: every form comes back in batches of that form, and is cut between members by its classes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset, TensorDataset

from fl_node.child.setup import Setup
from fl_node.learning.examples import Batches, Split, as_examples
from fl_node.learning.feed import draw_steps, feed_of
from fl_node.learning.options import OwnOptions
from fl_node.learning.own.opening import _split
from fl_node.learning.torch_learner import TorchLearner

NUMBERS, CLASSES = torch.arange(24.0).reshape(12, 2), torch.arange(12) % 3


class Named(Dataset):
    """Examples that are dicts."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"x": NUMBERS[index], "y": int(CLASSES[index])}


FORMS: dict[str, Any] = {
    "tensor": NUMBERS,
    "array": NUMBERS.numpy(),
    "tuple": (NUMBERS, CLASSES),
    "list": [NUMBERS.numpy(), CLASSES.numpy()],
    "dict": {"x": NUMBERS, "y": CLASSES},
    "dataset": TensorDataset(NUMBERS, CLASSES),
    "named": Named(),
}
EVERY = pytest.mark.parametrize("form", FORMS)


def inputs_of(batch: Any) -> Any:
    return batch["x"] if isinstance(batch, dict) else batch if torch.is_tensor(batch) else batch[0]


@EVERY
def test_batches_have_the_form_of_the_data(form: str) -> None:
    batch = as_examples(FORMS[form]).at(torch.tensor([3, 1]))
    assert torch.equal(inputs_of(batch), NUMBERS[[3, 1]])
    expected = {"tuple": tuple, "list": list, "dict": dict, "dataset": list, "named": dict}
    assert type(batch) is expected.get(form, torch.Tensor)
    if form not in ("tensor", "array"):
        labels = batch["y"] if isinstance(batch, dict) else batch[1]
        assert labels.tolist() == [0, 1]


@EVERY
def test_batches_come_in_order_and_the_last_one_is_what_is_left(form: str) -> None:
    batches = Batches(as_examples(FORMS[form]), 5)
    for _ in range(2):
        read = [inputs_of(batch) for batch in batches]
        assert [len(part) for part in read] == [5, 5, 2] and len(batches) == 3
        assert torch.equal(torch.cat(read), NUMBERS)


@EVERY
def test_a_subset_of_a_subset(form: str) -> None:
    some = as_examples(FORMS[form]).subset(np.array([9, 4, 7])).subset(np.array([2, 0]))
    assert len(some) == 2
    assert torch.equal(inputs_of(some.at(torch.arange(2))), NUMBERS[[7, 9]])


@EVERY
def test_a_feed_passes_over_all_of_them(form: str) -> None:
    examples = as_examples(FORMS[form])
    options = OwnOptions(text="{}", held_out=0.1, batch=4, share=("*",))
    drawn = draw_steps(TorchLearner(), options, len(examples), 1)
    steps = [next(drawn) for _ in range(3)]
    feed = feed_of(steps[0], examples)
    feed.fill(steps, examples)
    seen = torch.cat([inputs_of(feed.take()) for _ in steps])
    assert sorted(seen[:, 0].tolist()) == NUMBERS[:, 0].tolist()


@pytest.mark.parametrize(
    "dtype",
    ["float16", "float64", "int8", "int16", "int32", "uint8", "bool", "complex64", "bfloat16"],
)
def test_data_of_any_dtype_and_shape(dtype: str) -> None:
    values = torch.ones(6, 2, 3, 1).to(getattr(torch, dtype))
    batch = as_examples((values, torch.ones(6))).at(torch.arange(4))
    assert batch[0].dtype == values.dtype and batch[0].shape == (4, 2, 3, 1)


@pytest.mark.parametrize(
    ("form", "known"),
    [("tensor", False), ("tuple", True), ("list", True), ("dict", True), ("dataset", False)],
)
def test_classes_are_whole_numbers_at_the_end_of_a_tuple_or_under_a_known_name(
    form: str, known: bool
) -> None:
    classes = as_examples(FORMS[form]).classes
    assert (classes is not None and classes.tolist() == CLASSES.tolist()) == known


def test_a_datasets_targets_are_its_classes() -> None:
    data = TensorDataset(NUMBERS, CLASSES)
    data.targets = CLASSES.tolist()
    some = as_examples(data).subset(np.array([2, 4]))
    assert some.classes.tolist() == [2, 1]
    assert as_examples((NUMBERS, CLASSES.double())).classes is None


def parts(data: Any, rule: str, count: int = 3) -> list[tuple[Any, Any]]:
    setup = Setup(kind="module", entry="", seed=3, rule=rule, count=count)
    return [
        _split(data, Setup(kind="module", entry="", seed=3, rule=rule, count=count, index=index))
        for index in range(setup.count)
    ]


def test_a_partition_gives_each_example_to_one_member_to_train_on_or_to_measure_with() -> None:
    for form in FORMS:
        cut = parts(FORMS[form], "iid", 2)
        assert all(len(training) >= 2 and len(held_out) >= 2 for training, held_out in cut)
        everything = [part for both in cut for part in both]
        read = torch.cat([inputs_of(part.at(torch.arange(len(part)))) for part in everything])
        assert sorted(read[:, 0].tolist()) == NUMBERS[:, 0].tolist()


def test_a_partition_goes_by_the_classes() -> None:
    cut = parts({"x": NUMBERS, "y": CLASSES}, "classes:1")
    kinds = [{*training.at(torch.arange(len(training)))["y"].tolist()} for training, _ in cut]
    assert sorted(map(len, kinds)) == [1, 1, 1]
    assert Counter(kind for one in kinds for kind in one) == {0: 1, 1: 1, 2: 1}


def test_a_split_of_the_users_own_stays() -> None:
    (whole,) = parts(Split(NUMBERS[:9], NUMBERS[9:]), "iid", 1)
    assert [len(part) for part in whole] == [9, 3]
    cut = parts(Split(NUMBERS[:9], NUMBERS[9:]), "iid", 3)
    assert [[len(part) for part in both] for both in cut] == [[3, 1]] * 3
