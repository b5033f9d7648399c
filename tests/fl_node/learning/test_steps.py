"""What the loops are made of: batches, pictures, the tally."""

import itertools

import pytest
import torch

from fl_node.errors import TrainingDiverged
from fl_node.learner import no_progress
from fl_node.learning.feed import draw_batches
from fl_node.learning.run import REPORT_SECONDS, REPORTS, Sums, Tally
from fl_node.learning.steps import to_pictures

CPU = torch.device("cpu")


@pytest.mark.parametrize(("count", "batch"), [(10, 4), (4, 10), (8, 8)])
def test_batches_pass_over_the_data_again_and_again(count, batch):
    batches = draw_batches(count, batch, 3)
    drawn = torch.cat([next(batches) for _ in range(count)])
    assert (torch.bincount(drawn, minlength=count) == batch).all()


def test_bytes_become_pictures_between_minus_1_and_1():
    pixels = torch.tensor([0, 255], dtype=torch.uint8)
    assert to_pictures(pixels).tolist() == [-1, 1]


def tally_of(sums, steps, progress, seconds_per_step):
    seconds = itertools.count(step=seconds_per_step)
    return Tally(steps, sums, progress, clock=lambda: next(seconds))


def test_a_tally_reports_means_since_the_last_report_and_the_mean_of_all():
    reports = []
    steps = 2 * REPORTS
    sums = Sums(CPU, ("a", "b"))
    tally = tally_of(sums, steps, lambda *report: reports.append(report), REPORT_SECONDS)
    for step in range(1, steps + 1):
        sums.add({"a": torch.tensor(float(step)), "b": torch.tensor(1.0)})
        tally.report(step)
    assert reports[0] == (2, steps, {"a": 1.5, "b": 1})
    assert reports[-1] == (steps, steps, {"a": steps - 0.5, "b": 1})
    assert len(reports) == REPORTS
    assert tally.mean() == (steps + 1) / 2 + 1


def test_a_tally_of_fast_steps_reports_the_last_one_alone():
    reports = []
    sums = Sums(CPU, ("a",))
    tally = tally_of(sums, 60, lambda *report: reports.append(report), 0)
    for step in range(1, 61):
        sums.add({"a": torch.tensor(1.0)})
        tally.report(step)
    assert reports == [(60, 60, {"a": 1.0})]


def test_a_tally_refuses_losses_that_are_not_finite():
    sums = Sums(CPU, ("a",))
    tally = Tally(1, sums, no_progress)
    sums.add({"a": torch.tensor(torch.nan)})
    with pytest.raises(TrainingDiverged, match="no longer finite at step 1"):
        tally.report(1)
