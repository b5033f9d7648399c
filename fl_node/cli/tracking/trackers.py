"""Where a node's numbers go: one interface, and what `--log-to` names."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Protocol

from numpy import uint8
from numpy.typing import NDArray

from fl_node.blobs.location import reason_of, shown_location
from fl_node.errors import Misuse

Picture = NDArray[uint8]
"""Height x width x 3, red, green and blue from 0 to 255."""


class Tracker(Protocol):
    """Takes the numbers of a training. Whatever a method raises ends the tracking, and nothing else."""

    def numbers(self, round: int, values: Mapping[str, float]) -> None:
        """Take numbers of a round, by their names; each is finite, and names have slashes between their parts."""

    def picture(self, round: int, name: str, pixels: Picture) -> None:
        """Take a picture of a round."""

    def close(self) -> None:
        """Write out what is not yet written."""


def open_tracker(place: str, run: str, facts: Mapping[str, Any]) -> Tracker:
    """Open what `--log-to` names.

    Args:
        place: `wandb:PROJECT`, `mlflow:URI`, a URL (http or https) of an MLflow server, or else a folder for
            TensorBoard.
        run: A name for this node's run, which may be part of a path.
        facts: What is the same in all rounds, such as the contract.

    Raises:
        Misuse: The library is not installed, or the place cannot be opened.
    """
    kind, _, rest = place.partition(":")
    try:
        if kind == "wandb":
            _verify_installed("wandb", "wandb")
            from fl_node.cli.tracking.wandb import WandbTracker

            return WandbTracker(rest, run, facts)
        if kind in ("mlflow", "http", "https"):
            _verify_installed("mlflow", "mlflow")
            from fl_node.cli.tracking.mlflow import MlflowTracker

            return MlflowTracker(rest if kind == "mlflow" else place, run, facts)
        if "://" in place:
            raise Misuse(
                f"--log-to takes a folder, wandb:PROJECT, mlflow:URI or a server's http:// or https:// URL, "
                f"not {shown_location(place)}"
            )
        _verify_installed("tensorboardX", "ganchor[tensorboard]")
        from fl_node.cli.tracking.tensorboard import TensorboardTracker

        return TensorboardTracker(place, run, facts)
    except Misuse:
        raise
    except Exception as error:  # Each library has its own errors.
        where, why = shown_location(place), reason_of(error, place)
        raise Misuse(f"--log-to {where}: {type(error).__name__}: {why}") from None


def _verify_installed(module: str, package: str) -> None:
    if find_spec(module) is None:
        raise Misuse(f"--log-to needs {module}, which is not installed: pip install '{package}'")
