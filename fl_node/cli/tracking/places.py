"""What `--log-to` names."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fl_node.blobs.location import shown_location
from fl_node.cli.tracking.beside import Beside
from fl_node.cli.tracking.trackers import Tracker
from fl_node.errors import Misuse


def open_tracker(place: str, run: str, facts: Mapping[str, Any]) -> Tracker:
    """Open what `--log-to` names. Servers are asked later, beside the node: it starts without them.

    Args:
        place: `wandb:PROJECT`, `mlflow:URI`, a URL (http or https) of an MLflow server, or else a folder for
            TensorBoard.
        run: A name for this node's run, fit for a folder.
        facts: What is the same in all rounds, such as the contract.

    Raises:
        Misuse: The library is not installed, or the folder cannot be made.
    """
    kind, _, rest = place.partition(":")
    if kind == "wandb":
        return _wandb(rest, run, facts)
    if kind in ("mlflow", "http", "https"):
        return _mlflow(rest if kind == "mlflow" else place, run, facts)
    if "://" in place:
        raise Misuse(
            "--log-to takes a folder, wandb:PROJECT, mlflow:URI, or the http:// or https:// URL of an MLflow server, "
            f"not {shown_location(place)}"
        )
    return _tensorboard(Path(place).expanduser() / run, facts)


def _wandb(project: str, run: str, facts: Mapping[str, Any]) -> Tracker:
    _verify_installed("wandb", "wandb")

    def opened() -> Tracker:
        from fl_node.cli.tracking.wandb import WandbTracker

        return WandbTracker(project, run, facts)

    return Beside(opened)


def _mlflow(uri: str, run: str, facts: Mapping[str, Any]) -> Tracker:
    _verify_installed("mlflow", "mlflow")

    def opened() -> Tracker:
        from fl_node.cli.tracking.mlflow import MlflowTracker

        return MlflowTracker(uri, run, facts)

    return Beside(opened)


def _tensorboard(folder: Path, facts: Mapping[str, Any]) -> Tracker:
    _verify_installed("tensorboardX", "ganchor[tensorboard]")
    from fl_node.cli.tracking.tensorboard import TensorboardTracker

    try:
        folder.mkdir(parents=True, exist_ok=True)
        return TensorboardTracker(folder, facts)
    except OSError as error:
        raise Misuse(f"--log-to {shown_location(str(folder))}: {error.strerror}") from None


def _verify_installed(module: str, package: str) -> None:
    if find_spec(module) is None:
        raise Misuse(f"--log-to needs {module}, which is not installed: pip install '{package}'")
