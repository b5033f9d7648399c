"""FIDs of several runs, compared on the same bootstrap draws of the test pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from reporting import mean_and_spread
from results import Result

from fl_node.arrays import Float64

COVERAGE = 95
"""Percent of the draws that an interval contains."""


def figure_at(result: Result, figure: str, round: int) -> float | None:
    """A figure after a measured round; None if the run diverged."""
    return None if result.diverged else _measured(result, round)[figure]


def quality_cells(results: Sequence[Result], round: int) -> dict[str, str]:
    """The table cells of the figures after a round."""
    return {
        "FID": mean_and_spread([figure_at(run, "fid", round) for run in results], 1),
        "KID": mean_and_spread([figure_at(run, "kid", round) for run in results], 3),
        "classes": mean_and_spread([figure_at(run, "covered", round) for run in results], 1),
    }


def ratio_cell(
    results: Sequence[Result], baseline: Sequence[Result], round: int, of_round: int
) -> str:
    """The mean FID divided by the baseline's, and how far other test pictures would move this ratio.

    In each draw both are measured on the same pictures, so the interval holds no error that they share. It says nothing
    about other seeds.
    """
    if any(run.diverged for run in (*results, *baseline)):
        return "-"
    ratio = _mean_fid(results, round) / _mean_fid(baseline, of_round)
    draws = _mean_draws(results, round) / _mean_draws(baseline, of_round)
    low, high = np.percentile(draws, [(100 - COVERAGE) / 2, (100 + COVERAGE) / 2])
    return f"{ratio:.2f} ({low:.2f} to {high:.2f})"


def _mean_fid(results: Sequence[Result], round: int) -> float:
    return float(np.mean([_measured(run, round)["fid"] for run in results]))


def _mean_draws(results: Sequence[Result], round: int) -> Float64:
    """The mean FID in each draw, moved so that their mean is the FID: draws lie above it, see `fid_draws`."""
    draws: Float64 = np.mean([_measured(run, round)["fid_draws"] for run in results], axis=0)
    return draws - draws.mean() + _mean_fid(results, round)


def _measured(result: Result, round: int) -> dict[str, float]:
    return next(at for at in result.curve if at["round"] == round)
