"""Random histories through the programs of the suite: whatever the members did, and whatever was altered afterwards,
every program answers as the reference does."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cases.case import Case
from hypothesis import HealthCheck, assume, given, settings
from random_histories import Altered, Played, altered, played
from test_conformance import OTHERS, PROGRAMS, REFERENCE, RUNS, VERBS, name_of

SOME = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
MANY = settings(SOME, max_examples=60)
ALWAYS = ("head", "commitment", "audit")
"""The verbs whose answers are specified also where manifest, models or log are not what they were."""


class Program:
    """A program that is asked through its standard input; it is started anew after it broke."""

    def __init__(self, path: Path) -> None:
        self._command = [*RUNS[path.suffix], str(path)]
        self._process: subprocess.Popen[str] | None = None
        if shutil.which(self._command[0]) is None:
            pytest.skip(f"{self._command[0]} is not installed")

    def ask(self, verb: str, folder: Path) -> None:
        if self._process is None:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            self._process = subprocess.Popen(self._command, text=True, **pipes)
        assert self._process.stdin
        self._process.stdin.write(f"{verb} {folder}\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """The answer to the question."""
        assert self._process and self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            self.end()
        assert line, "the program broke"
        return json.loads(line)

    def end(self) -> None:
        """End it by the end of its questions."""
        if self._process:
            self._process.communicate()
            self._process = None


@pytest.fixture(scope="module", params=OTHERS, ids=name_of)
def program(request: pytest.FixtureRequest) -> Iterator[Program]:
    asked = Program(request.param)
    yield asked
    asked.end()


def written(case: Case, folder: Path) -> Path:
    """The case, in place of the one before: that of the last, which is the smallest that fails, stays."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in case.files().items():
        path = folder / Path(name).relative_to(case.verb, case.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def agreed(program: Program, verb: str, folder: Path) -> dict[str, Any]:
    """The answer of both, the program and the reference."""
    program.ask(verb, folder)
    try:
        expected: dict[str, Any] = REFERENCE.answer(verb, folder)
    finally:
        answer = program.answer()
    assume("not_done" not in answer)
    assert {key: answer.get(key) for key in expected} == expected, f"{verb} {folder}"
    return expected


@SOME
@given(told=played())
def test_what_the_members_did(program: Program, tmp_path: Path, told: Played) -> None:
    """Whoever misbehaves, an honest quorum leaves nothing to find."""
    folder = written(told.case, tmp_path / "case")
    answers = {verb: agreed(program, verb, folder) for verb in VERBS}
    assert not told.honest or answers["audit"]["findings"] == []


@MANY
@given(told=altered())
def test_what_was_altered_afterwards(program: Program, tmp_path: Path, told: Altered) -> None:
    """No event is another under the same head."""
    folder = written(told.case, tmp_path / "case")
    answers = {verb: agreed(program, verb, folder) for verb in ALWAYS}
    assert not told.lost or ["A2", 0] in answers["audit"]["findings"]


def test_the_reference_answers_as_long_as_it_is_asked() -> None:
    reference, cases = Program(PROGRAMS / "python.py"), PROGRAMS.parent / "cases"
    for case in ("head/one_round", "audit/one_round", "head/no_topics_fail"):
        verb = case.partition("/")[0]
        reference.ask(verb, cases / case)
        assert reference.answer() == REFERENCE.answer(verb, cases / case)
    reference.end()
