"""The field's own terms: what the pages call things is what a reader finds in the papers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pages import DOCS, ROOT

PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])

TERMS = {
    r"deal(s|t)? out": "partitioned",
    r"bad (members?|updates?)": "Byzantine",
    r"codecs? lost": "error feedback",
    r"skew(ed)?(?!\.py)": "non-IID",
    r"in the clear": "not encrypted",
}


@pytest.mark.parametrize("words", TERMS)
@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_pages_speak_the_fields_language(path: Path, words: str):
    found = [line for line in path.read_text().splitlines() if re.search(rf"\b{words}\b", line)]
    assert not found, f"the field says {TERMS[words]!r}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_command_can_be_pasted_from_a_clone(path: Path):
    assert not re.findall(r"^    ganchor .*$", path.read_text(), re.MULTILINE), "uv run ganchor"


CODE = sorted(path for folder in ("fl_node", "scripts") for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("words", ["deal(s|t)? out", "bad (members?|updates?)", "codecs? lost"])
def test_docstrings_and_messages_speak_it_too(words: str):
    found = [path.name for path in CODE if re.search(rf"\b{words}\b", path.read_text())]
    assert found == [], f"the field says {TERMS[words]!r}"
