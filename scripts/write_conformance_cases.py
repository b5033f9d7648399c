"""Write tests/conformance/cases/ from scripts/cases/; with --check, fail if that would change anything."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from cases import aggregates, audits, commitments, heads, validations
from cases.case import Case

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "conformance" / "cases"
VERBS = (heads, commitments, validations, aggregates, audits)


def main() -> int:
    """Return 0 if the cases are written or unchanged, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 on a difference")
    check = parser.parse_args().check
    files = written()
    if not check:
        write(files)
        return 0
    if wrong := differences(files):
        print(f"error: {wrong[0]} differs; run scripts/write_conformance_cases.py", file=sys.stderr)
    return 1 if wrong else 0


def written() -> dict[str, bytes]:
    """Path under `cases/` to content, of all cases."""
    files: dict[str, bytes] = {}
    for case in all_cases():
        own = case.files()
        assert not files.keys() & own.keys(), f"two cases have the name {case.name}"
        files |= own
    return files


def all_cases() -> Iterator[Case]:
    """Every case."""
    for verb in VERBS:
        yield from verb.cases()


def differences(files: dict[str, bytes]) -> list[str]:
    """Paths of files that are missing, other, or too many."""
    present = {path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*")
               if path.is_file()}  # fmt: skip
    return sorted(
        name
        for name in files.keys() | present.keys()
        if name not in present or present[name].read_bytes() != files.get(name)
    )


def write(files: dict[str, bytes]) -> None:
    """Write the cases, and nothing else, into the folder."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    for name, content in files.items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    sys.exit(main())
