"""Tensors from and to arrays: every value arrives where it belongs, whatever the tensors' layout."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fl_node.errors import Misuse
from fl_node.learning.transfer import fill_tensors, to_arrays

SHAPES = st.lists(st.lists(st.integers(0, 4), max_size=4).map(tuple), max_size=5)


def arrays_of(shapes, seed=0):
    random = np.random.default_rng(seed)
    return {
        str(at): random.normal(size=shape).astype(np.float32) for at, shape in enumerate(shapes)
    }


@given(SHAPES, st.booleans())
def test_what_is_filled_in_comes_back(shapes, last):
    arrays = arrays_of(shapes)
    tensors = {name: torch.zeros(array.shape) for name, array in arrays.items()}
    if last:
        tensors = {
            name: value.to(memory_format=torch.channels_last) if value.ndim == 4 else value
            for name, value in tensors.items()
        }
    where = [value.data_ptr() for value in tensors.values()]
    fill_tensors(tensors, arrays)
    assert [value.data_ptr() for value in tensors.values()] == where
    back = to_arrays(tensors)
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        assert back[name].shape == array.shape and back[name].tobytes() == array.tobytes()


def test_arrays_that_were_read_do_not_follow_the_tensor():
    tensor = torch.ones(3)
    read = to_arrays({"a": tensor})
    tensor.zero_()
    assert read["a"].tolist() == [1, 1, 1]


def test_more_arrays_than_tensors_are_no_harm_and_read_only_ones_neither():
    arrays = arrays_of([(2,), (3,)])
    for array in arrays.values():
        array.flags.writeable = False
    tensor = torch.zeros(3)
    fill_tensors({"1": tensor}, arrays)
    assert tensor.numpy().tobytes() == arrays["1"].tobytes()


@pytest.mark.parametrize(
    "array", [np.zeros(2, np.float32), np.zeros((3, 1), np.float32), np.zeros(3)]
)
def test_another_shape_or_dtype_is_refused(array):
    with pytest.raises(Misuse, match=r"tensor 'a': expected float32 \(3,\), got"):
        fill_tensors({"a": torch.zeros(3)}, {"a": array})
