"""Where a node's numbers go: one interface, and what `--log-to` names."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, NoReturn, Protocol

from numpy import uint8
from numpy.typing import NDArray

from fl_node.errors import Misuse

Picture = NDArray[uint8]
"""Height x width x 3, red, green and blue from 0 to 255."""


class Tracker(Protocol):
    """Takes the numbers of a training. Whatever a method raises ends the tracking, and nothing else."""

    def numbers(self, round: int, values: Mapping[str, float]) -> None:
        """Take numbers of a round, by their names; each is finite, and names have slashes between their parts."""

    def picture(self, round: int, name: str, pixels_HWC: Picture) -> None:
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
        _verify_installed("tensorboardX", "ganchor[tensorboard]")
        from fl_node.cli.tracking.tensorboard import TensorboardTracker

        return TensorboardTracker(place, run, facts)
    except Misuse:
        raise
    except Exception as error:  # Each library has its own errors.
        _refuse(place, error)


def _verify_installed(module: str, package: str) -> None:
    if find_spec(module) is None:
        raise Misuse(f"--log-to needs {module}, which is not installed: pip install '{package}'")


def _refuse(place: str, error: Exception) -> NoReturn:
    raise Misuse(f"--log-to {place}: {type(error).__name__}: {error}") from None
