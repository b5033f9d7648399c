"""Every program of the conformance suite on every case: README.md in this folder."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from write_conformance_cases import differences, written

SUITE = Path(__file__).parent
PROGRAMS = SUITE / "programs"
CASES = sorted(path.parent for path in SUITE.glob("cases/*/*/expected.json"))
VERBS = sorted({case.parent.name for case in CASES})

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


@cache
def answers_of(program: Path, verb: str) -> dict[Path, dict[str, Any]]:
    """A program's answers to all cases of a verb, asked at once."""
    cases = [case for case in CASES if case.parent.name == verb]
    command = [*RUNS[program.suffix], str(program), verb, *map(str, cases)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(cases), done.stderr
    assert done.returncode == (2 if any("not_done" in one for one in answers) else 0), done.stderr
    return dict(zip(cases, answers, strict=True))


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_the_reference_gives_the_expected_answer(case: Path) -> None:
    passed(case, REFERENCE.answer(case.parent.name, case))


@pytest.mark.parametrize("verb", VERBS)
def test_the_reference_is_a_program_like_any_other(verb: str) -> None:
    case = next(case for case in CASES if case.parent.name == verb)
    command = [sys.executable, str(PROGRAMS / "python.py"), verb, str(case)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    passed(case, json.loads(done.stdout))


@pytest.mark.parametrize("case", CASES, ids=name_of)
@pytest.mark.parametrize("program", OTHERS, ids=name_of)
def test_another_program_gives_it_too(program: Path, case: Path) -> None:
    if shutil.which(RUNS[program.suffix][0]) is None:
        pytest.skip(f"{RUNS[program.suffix][0]} is not installed")
    answer = answers_of(program, case.parent.name)[case]
    if "not_done" in answer:
        pytest.skip(f"not done by {program.name}: {answer['not_done']}")
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
