"""The pages that are held against the code, and how to take them apart."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text()
PROTOCOL = (DOCS / "protocol.md").read_text()
MANIFEST = (DOCS / "manifest.md").read_text()
ALGORITHMS = (DOCS / "algorithms.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def table(text: str, heading: str) -> dict[str, list[str]]:
    """The rows of all tables between a heading and the next one, by the code in their first cells."""
    section = re.split(r"^#+ ", text.split(f"# {heading}\n", 1)[1], flags=re.MULTILINE)[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in rows}
