"""Weights & Biases, where it is installed.

Its own variables say whose account (WANDB_API_KEY), and whether anything leaves the machine (WANDB_MODE).

Source: https://docs.wandb.ai/ref/python
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import wandb

from fl_node.cli.tracking.trackers import Picture


class WandbTracker:
    """Sends a run's numbers. The round is a number like the others, and the axis of all of them.

    Args:
        project: The project's name.
        run: The run's name.
        facts: The run's configuration.
    """

    def __init__(self, project: str, run: str, facts: Mapping[str, Any]) -> None:
        self._run = wandb.init(project=project, name=run, config=dict(facts))
        self._run.define_metric("round")
        self._run.define_metric("*", step_metric="round")

    def numbers(self, round: int, values: Mapping[str, float]) -> None:
        """Send numbers of a round."""
        self._run.log({"round": round, **values})

    def picture(self, round: int, name: str, pixels: Picture) -> None:
        """Send a picture of a round."""
        self._run.log({"round": round, name: wandb.Image(pixels)})

    def close(self) -> None:
        """End the run."""
        self._run.finish()
