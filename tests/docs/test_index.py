"""docs/README.md leads to every page, and the glossary to every word that the pages lean on."""

from __future__ import annotations

import re
from pathlib import Path

from pages import DOCS, ROOT

from fl_node.cli.workspace import Workspace

INDEX = (DOCS / "README.md").read_text()
GLOSSARY = (DOCS / "glossary.md").read_text()
STORY = (DOCS / "how-it-works.md").read_text()
LINKS = re.findall(r"\[([^\]]+)\]\(([^)]+)\)", INDEX)


def test_every_page_is_linked():
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")} - {"README.md"}
    assert pages <= {target for _, target in LINKS}


def test_a_decision_is_linked_by_its_number_and_title():
    listed = re.findall(r"^(\d+)\. \[(.+)\]\(decisions/(\d+)-.*\)$", INDEX, re.MULTILINE)
    decisions = sorted((DOCS / "decisions").glob("*.md"))
    headings = [path.read_text().splitlines()[0] for path in decisions]
    assert [f"# {number}. {title}" for number, title, _ in listed] == headings
    assert [int(file) for *_, file in listed] == [int(number) for number, *_ in listed]


def test_every_word_that_the_story_explains_is_in_the_glossary():
    # What the story sets in italics at its first occurrence.
    words = {word.lower() for word in re.findall(r"(?<!\*)\*([A-Za-z]+)\*(?!\*)", STORY)}
    assert [word for word in sorted(words) if word not in GLOSSARY.lower()] == []


def test_every_file_of_a_workspace_is_explained():
    listed = STORY.split("## What the demo leaves behind")[1].split("\n## ")[0]
    paths = {value.name for value in vars(Workspace(Path())).values() if value.name}
    assert [name for name in sorted(paths) if f"`{name}" not in listed] == []


def test_contributing_names_every_room():
    rooms = (ROOT / "CONTRIBUTING.md").read_text().split("## Rooms and doors")[1].split("## ")[0]
    folders = {path.parent.name for path in (ROOT / "fl_node").glob("*/__init__.py")}
    ground = {path.name for path in (ROOT / "fl_node").glob("*.py")} - {"__init__.py"}
    assert [name for name in sorted(folders) if f" {name}/ " not in rooms] == []
    assert [name for name in sorted(ground) if name not in rooms] == []
