"""Which classes samples cover."""

from __future__ import annotations

import numpy as np
import pytest

from fl_node.measures import coverage

EVEN = np.arange(100) % 4


def test_real_pictures_cover_their_own_classes():
    found = coverage(EVEN, EVEN)
    assert (found.covered, found.classes, found.shares) == (4, 4, (0.25,) * 4)


@pytest.mark.parametrize(("count", "covered"), [(4, 3), (5, 4), (6, 4)])
def test_a_class_is_covered_from_a_fifth_of_its_real_share_on(count, covered):
    samples = np.array([3] * count + [0, 1, 2] * ((100 - count) // 3) + [0] * ((100 - count) % 3))
    assert len(samples) == 100
    assert coverage(samples, EVEN).covered == covered


def test_a_collapsed_generator_covers_one():
    found = coverage(np.full(50, 2), EVEN)
    assert (found.covered, found.shares) == (1, (0, 0, 1, 0))


def test_a_rare_class_need_not_be_frequent():
    real = np.array([0] * 90 + [1] * 10)
    assert coverage(np.array([0] * 98 + [1] * 2), real).covered == 2
    assert coverage(np.array([0] * 99 + [1] * 1), real).covered == 1


def test_classes_that_the_real_pictures_lack_do_not_count():
    found = coverage(EVEN, EVEN % 2)
    assert (found.covered, found.classes) == (2, 2)
