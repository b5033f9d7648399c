"""Every program of the conformance suite on every case: README.md in this folder."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from write_conformance_cases import differences, written

SUITE = Path(__file__).parent
PROGRAMS = SUITE / "programs"
CASES = sorted(path.parent for path in SUITE.glob("cases/*/*/expected.json"))
VERBS = sorted({case.parent.name for case in CASES})
ONE_OF_EACH = [next(case for case in CASES if case.parent.name == verb) for verb in VERBS]

RUNS = {".py": [sys.executable], ".mjs": ["node"]}
OTHERS = sorted(
    path for path in PROGRAMS.iterdir() if path.suffix in RUNS and path.stem != "python"
)


def name_of(path: Path) -> str:
    return path.stem if path.parent == PROGRAMS else f"{path.parent.name}/{path.name}"


def loaded(program: Path) -> Any:
    spec = importlib.util.spec_from_file_location("conformance_reference", program)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


REFERENCE = loaded(PROGRAMS / "python.py")


def passed(case: Path, answer: dict[str, Any]) -> None:
    """Every key that is expected is there with its value; what else is said is not looked at."""
    expected = json.loads((case / "expected.json").read_text())
    assert {key: answer.get(key) for key in expected} == expected


def ask(program: Path, verb: str, case: Path) -> tuple[int, dict[str, Any], str]:
    """A program's exit status, answer, and what it said on standard error."""
    command = [*RUNS[program.suffix], str(program), verb, str(case)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_the_reference_gives_the_expected_answer(case: Path) -> None:
    passed(case, REFERENCE.answer(case.parent.name, case))


@pytest.mark.parametrize("case", ONE_OF_EACH, ids=name_of)
def test_the_reference_is_a_program_like_any_other(case: Path) -> None:
    status, answer, said = ask(PROGRAMS / "python.py", case.parent.name, case)
    assert status == 0, said
    passed(case, answer)


@pytest.mark.parametrize("case", CASES, ids=name_of)
@pytest.mark.parametrize("program", OTHERS, ids=name_of)
def test_another_program_gives_it_too(program: Path, case: Path) -> None:
    if shutil.which(RUNS[program.suffix][0]) is None:
        pytest.skip(f"{RUNS[program.suffix][0]} is not installed")
    status, answer, said = ask(program, case.parent.name, case)
    if status == 2 and "not_done" in answer:
        pytest.skip(f"not done by {program.name}: {answer['not_done']}")
    assert status == 0, said
    passed(case, answer)


def test_a_name_says_whether_something_is_wrong() -> None:
    """`expected.json` of a case that ends in `_fail` names it, and that of no other does."""
    wrong = {name_of(case) for case in CASES if _names_a_fault(case)}
    assert wrong == {name_of(case) for case in CASES if case.name.endswith("_fail")}


def test_more_cases_are_about_something_wrong() -> None:
    assert sum(case.name.endswith("_fail") for case in CASES) > len(CASES) / 2


def test_the_cases_are_what_their_histories_give() -> None:
    assert differences(written()) == [], "run scripts/write_conformance_cases.py"


def _names_a_fault(case: Path) -> bool:
    expected = json.loads((case / "expected.json").read_text())
    left_out = any(one["left_out_because"] for one in expected.get("updates", []))
    return left_out or bool(expected.keys() & {"finding", "invalid"} or expected.get("findings"))
