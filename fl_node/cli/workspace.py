"""The folder that `ganchor demo` writes."""

from __future__ import annotations

import re
from pathlib import Path

from fl_node.errors import Misuse


class Workspace:
    """The paths in a demo's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "chain.sqlite"
        self.deployment = folder / "deployment.json"
        self.manifest = folder / "manifest.toml"
        self.store = folder / "store"
        self.nodes = folder / "nodes"
        self.samples = folder / "samples"
        self.report = folder / "report.json"
        self.audit = folder / "audit.json"

    def create(self) -> None:
        """Create the folder.

        Raises:
            Misuse: The folder is not empty.
        """
        if self.folder.exists() and any(self.folder.iterdir()):
            raise Misuse(
                f"{self.folder} is not empty; give another --workspace, or remove it first"
            )
        for folder in (self.folder, self.store, self.nodes, self.samples):
            folder.mkdir(parents=True, exist_ok=True)

    def existing_database(self) -> Path:
        """The path of the chain's database.

        Raises:
            Misuse: There is none, so the folder is not a workspace.
        """
        if not self.database.exists():
            raise Misuse(f"{self.folder} is not a workspace: it holds no {self.database.name}")
        return self.database

    def existing_report(self) -> Path | None:
        """The path of the report; None if the file is missing or a dangling link."""
        return self.report if self.report.exists() else None

    def picture(self, round: int) -> Path:
        """Where the pictures of a round's model are drawn."""
        return self.samples / f"round-{round:03}.png"

    def pictures(self) -> dict[int, Path]:
        """The pictures that were drawn, by round."""
        numbered = ((_round_of(path.name), path) for path in self.samples.glob("round-*.png"))
        return {number: path for number, path in numbered if number}


def _round_of(name: str) -> int:
    """The round that a picture's name names; 0 if it names none."""
    found = re.fullmatch("round-([0-9]{3,5})[.]png", name)
    return int(found[1]) if found else 0


def free_workspace(base: Path) -> Path:
    """The first of base/demo-1, base/demo-2, ... that does not exist yet."""
    number = 1
    while (base / f"demo-{number}").exists():
        number += 1
    return base / f"demo-{number}"
