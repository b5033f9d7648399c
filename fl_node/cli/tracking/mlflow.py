"""MLflow, where it is installed: a server, or a place of its own.

Source: https://mlflow.org/docs/latest/api_reference/python_api/mlflow.client.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlflow import MlflowClient

from fl_node.cli.tracking.trackers import Picture

EXPERIMENT = "ganchor"


class MlflowTracker:
    """Sends a run's numbers.

    Args:
        uri: The tracking server's or store's.
        run: The run's name.
        facts: The run's parameters.
    """

    def __init__(self, uri: str, run: str, facts: Mapping[str, Any]) -> None:
        self._client = MlflowClient(tracking_uri=uri)
        known = self._client.get_experiment_by_name(EXPERIMENT)
        experiment = known.experiment_id if known else self._client.create_experiment(EXPERIMENT)
        self._run = self._client.create_run(experiment, run_name=run).info.run_id
        for name, value in facts.items():
            self._client.log_param(self._run, name, value)

    def numbers(self, round: int, values: Mapping[str, float]) -> None:
        """Send numbers of a round."""
        for name, value in values.items():
            self._client.log_metric(self._run, name, value, step=round)

    def picture(self, round: int, name: str, pixels: Picture) -> None:
        """Send a picture of a round."""
        self._client.log_image(self._run, pixels, artifact_file=f"{name}-{round:05}.png")

    def close(self) -> None:
        """End the run."""
        self._client.set_terminated(self._run)
