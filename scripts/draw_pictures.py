"""Draw the README's pictures from a demo: its tables as an SVG of the terminal, its samples as one PNG.

    uv run scripts/draw_pictures.py ganchor-workspace/demo-1    # after `ganchor demo`: record it, and draw
    uv run scripts/draw_pictures.py                             # draw the tables of the recorded demo again
    uv run scripts/draw_pictures.py --check                     # fail if they would change

docs/pictures/demo.json records a demo; its tables are drawn as `ganchor demo` prints them today.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import TypeAdapter
from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME

from fl_node.audit.report import AuditedRound, AuditReport, Status
from fl_node.cli.tables import print_audit, print_digests, rounds_table

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
RECORD = PICTURES / "demo.json"
TABLES = PICTURES / "demo.svg"
SAMPLES = PICTURES / "demo-samples.png"

COLUMNS = 92
GAP = 20
"""White pixels between the two grids of samples."""


def main() -> int:
    """Return 0 if the pictures are drawn or unchanged, else 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workspace", type=Path, nargs="?", help="a folder of `ganchor demo`")
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 on a difference")
    asked = parser.parse_args()
    if asked.workspace:
        RECORD.write_text(json.dumps(record(asked.workspace), indent=1) + "\n")
        side_by_side(sorted((asked.workspace / "samples").glob("round-*.png")), SAMPLES)
    drawn = tables(json.loads(RECORD.read_text()))
    if not asked.check:
        TABLES.write_text(drawn)
    elif TABLES.read_text() != drawn:
        print(f"error: {TABLES.name} differs; run scripts/draw_pictures.py", file=sys.stderr)
        return 1
    return 0


def record(workspace: Path) -> dict[str, Any]:
    """The data of a demo's tables: its audit.json, and the gas from its report.json."""
    audit = json.loads((workspace / "audit.json").read_text())
    report = json.loads((workspace / "report.json").read_text())
    return {
        "task": audit["task"],
        "statuses": {name: step["status"] for name, step in audit["steps"].items()},
        "rounds": audit["rounds"],
        "gas": {reported["round"]: reported["gas"] for reported in report["rounds"]},
    }


def tables(recorded: dict[str, Any]) -> str:
    """The demo's two tables as a terminal shows them, in SVG."""
    rounds = TypeAdapter(tuple[AuditedRound, ...]).validate_python(recorded["rounds"])
    statuses = {step: Status(status) for step, status in recorded["statuses"].items()}
    report = AuditReport(task=recorded["task"], statuses=statuses, findings=(), rounds=rounds)
    gas = {int(number): spent for number, spent in recorded["gas"].items()}
    console = Console(
        record=True, file=io.StringIO(), width=COLUMNS, force_terminal=True, legacy_windows=False
    )
    console.print(rounds_table(rounds, gas, held_out="KID held out"))
    print_audit(console, report)
    print_digests(console, report.rounds)
    drawn = console.export_svg(
        title="uv run ganchor demo", theme=SVG_EXPORT_THEME, unique_id="demo"
    )
    return re.sub(
        r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL
    )  # Fonts would be loaded from another site.


def side_by_side(grids: list[Path], path: Path) -> None:
    """Put the first and the last grid of samples side by side, on white."""
    first, last = (Image.open(grid).convert("L") for grid in (grids[0], grids[-1]))
    both = Image.new("L", (first.width + GAP + last.width, first.height), 255)
    both.paste(first, (0, 0))
    both.paste(last, (first.width + GAP, 0))
    both.save(path, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
