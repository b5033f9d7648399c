"""Compile contracts/ into the committed artifact; with --check, fail if it would change."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from chain.artifact import ARTIFACT
from chain.compile import compile_contracts
from chain.errors import CompilerUnusable

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Return 0 if the artifact is written or unchanged, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 on a difference")
    check = parser.parse_args().check
    try:
        compiled = compile_contracts(ROOT).to_bytes()
    except CompilerUnusable as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if not check:
        ARTIFACT.write_bytes(compiled)
        return 0
    if ARTIFACT.exists() and ARTIFACT.read_bytes() == compiled:
        return 0
    print(f"error: {ARTIFACT.name} differs; run scripts/compile_contracts.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
