"""Run Slither on the contract: every finding needs an answer below, and every answer needs a finding.

Slither: https://github.com/crytic/slither. It also reads answers from comments in the source, but a comment there would
change the hash of the sources, which the compiler puts at the end of the bytecode.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from chain.compile import Workbench, prepare
from chain.errors import CompilerUnusable

ROOT = Path(__file__).resolve().parent.parent
SELECTION = {"*": {"*": ["abi", "metadata", "evm.bytecode", "evm.deployedBytecode"], "": ["ast"]}}
SECONDS = 300

Finding = tuple[str, str]
"""The detector's name, and the function with the finding."""

ANSWERS: dict[Finding, str] = {
    ("calls-loop", "relay"): (
        "On purpose: the contract calls itself, and nothing else, once for each act. What is refused is "
        "left out, so that no act can stop the others."
    ),
    ("low-level-calls", "relay"): (
        "A refusal must not revert the batch, and the member's address stands behind the call's data; "
        "only a low-level call does both."
    ),
    ("timestamp", "_requireTurn"): (
        "A deadline is a time. A block's proposer can move it by seconds; windows last minutes or "
        "hours."
    ),
    ("timestamp", "advance"): "As in _requireTurn.",
    ("timestamp", "_deadline"): "It is compared with the largest time that fits, in February 2106.",
}


class SlitherFailed(Exception):
    """Slither did not run, or could not read the contract."""


def main() -> int:
    """Return 0 if findings and answers match, else 1."""
    try:
        found = findings(prepare(ROOT))
    except (CompilerUnusable, SlitherFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    complaints = compare(found)
    for complaint in complaints:
        print(f"error: {complaint}", file=sys.stderr)
    return 1 if complaints else 0


def findings(workbench: Workbench) -> dict[Finding, str]:
    """Slither's findings in our own sources, each with its description.

    Raises:
        SlitherFailed: It is not installed, takes too long, or cannot compile the contract.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, text in workbench.sources.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, "utf-8")
        (folder / "input.json").write_text(json.dumps(workbench.standard_json(SELECTION)))
        report = _run_slither(folder, workbench.solc)
    detected = report["results"].get("detectors", [])
    return {_name(finding): finding["description"].strip() for finding in detected}


def compare(found: dict[Finding, str]) -> list[str]:
    """The mismatches: findings without an answer, and answers without a finding."""
    unanswered = [f"{name}: {text}" for name, text in found.items() if name not in ANSWERS]
    stale = [f"{name}: Slither no longer finds this" for name in ANSWERS if name not in found]
    return unanswered + stale


def _run_slither(folder: Path, solc: Path) -> dict[str, Any]:
    command = [
        *(sys.executable, "-m", "slither", "input.json"),
        *("--compile-force-framework", "solc-json", "--solc", str(solc)),
        *("--json", "-"),
    ]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS)
        report: dict[str, Any] = json.loads(done.stdout)
    except subprocess.TimeoutExpired as error:
        raise SlitherFailed(f"Slither gave no answer for {SECONDS} s") from error
    except ValueError as error:
        raise SlitherFailed(f"Slither did not run: {done.stderr.strip()}") from error
    if not report["success"]:
        raise SlitherFailed(f"Slither failed: {report['error']}")
    return report


def _name(finding: dict[str, Any]) -> Finding:
    return finding["check"], finding["elements"][0]["name"]


if __name__ == "__main__":
    sys.exit(main())
