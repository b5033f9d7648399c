"""What the loops are made of: batches, pictures, the tally."""

import pytest
import torch

from fl_node.errors import TrainingDiverged
from fl_node.learner import no_progress
from fl_node.learning.steps import REPORTS, Tally, draw_batches, to_pictures

CPU = torch.device("cpu")


@pytest.mark.parametrize(("count", "batch"), [(10, 4), (4, 10), (8, 8)])
def test_batches_pass_over_the_data_again_and_again(count, batch):
    batches = draw_batches(count, batch, 3, CPU)
    drawn = torch.cat([next(batches) for _ in range(count)])
    assert (torch.bincount(drawn, minlength=count) == batch).all()


def test_bytes_become_pictures_between_minus_1_and_1():
    pixels = torch.tensor([0, 255], dtype=torch.uint8)
    assert to_pictures(pixels).tolist() == [-1, 1]


def test_a_tally_reports_means_since_the_last_report_and_the_mean_of_all():
    reports = []
    steps = 2 * REPORTS
    tally = Tally(("a", "b"), steps, lambda *report: reports.append(report), CPU)
    for step in range(1, steps + 1):
        tally.add(0, torch.tensor(float(step)))
        tally.add(1, torch.tensor(1.0))
        tally.report(step)
    assert reports[0] == (2, steps, {"a": 1.5, "b": 1})
    assert reports[-1] == (steps, steps, {"a": steps - 0.5, "b": 1})
    assert len(reports) == REPORTS
    assert tally.mean() == (steps + 1) / 2 + 1


def test_a_tally_refuses_losses_that_are_not_finite():
    tally = Tally(("a",), 1, no_progress, CPU)
    tally.add(0, torch.tensor(float("nan")))
    with pytest.raises(TrainingDiverged, match="no longer finite at step 1"):
        tally.report(1)
