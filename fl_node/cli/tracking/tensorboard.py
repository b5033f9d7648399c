"""TensorBoard: event files in a folder, one folder in it for each node.

Source: https://tensorboardx.readthedocs.io
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

from fl_node.cli.tracking.trackers import Picture


class TensorboardTracker:
    """Writes event files. They grow while the node runs, and each start begins a new one.

    Args:
        folder: Created if needed; `tensorboard --logdir FOLDER` shows the runs in it side by side.
        run: The name of this node's folder in it.
        facts: Shown as a text.
    """

    def __init__(self, folder: str, run: str, facts: Mapping[str, Any]) -> None:
        place = Path(folder).expanduser() / run
        place.mkdir(parents=True, exist_ok=True)
        self._writer = SummaryWriter(str(place))
        self._writer.add_text("node", f"```json\n{json.dumps(dict(facts), indent=1)}\n```", 0)

    def numbers(self, round: int, values: Mapping[str, float]) -> None:
        """Write numbers of a round, and let whoever looks see them at once."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, round)
        self._writer.flush()

    def picture(self, round: int, name: str, pixels: Picture) -> None:
        """Write a picture of a round."""
        self._writer.add_image(name, pixels, round, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()
