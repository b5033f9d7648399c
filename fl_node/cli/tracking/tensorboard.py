"""TensorBoard: event files in a folder.

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
        folder: An existing one, of this node alone.
        facts: Shown as a text.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self._writer = SummaryWriter(str(folder))
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
