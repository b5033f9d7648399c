"""The documents, held against the code: what they state is exact, complete, and runs as it stands."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from doubles import MEMBERS
from pydantic import BaseModel
from typer.testing import CliRunner

from chain.compile import load_artifact
from chain.deploy import Deployment
from chain.history import ARGUMENTS
from chain.types import Terms
from fl_node.audit import STEPS, AuditReport, Finding, Status
from fl_node.audit.report import AuditedRound, AuditedUpdate
from fl_node.cli.app import app
from fl_node.cli.workspace import report_rounds
from fl_node.encoding import decode_update, digest_of
from fl_node.manifest import PRESETS, Manifest, read_manifest
from fl_node.tensors import payload_of
from fl_node.validity import norm

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PROTOCOL = (DOCS / "protocol.md").read_text()
MANIFEST = (DOCS / "manifest.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())

ABI = load_artifact().abi
FOREIGN_ERRORS = {"SafeCastOverflowedUintDowncast"}
ROUND = AuditedRound(1, 1, "", "", (), None, None, 0, 0)


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def table(text: str, heading: str) -> dict[str, list[str]]:
    """The rows of all tables between a heading and the next one, by the code in their first cells."""
    section = re.split(r"^#+ ", text.split(f"# {heading}\n", 1)[1], flags=re.MULTILINE)[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return {cells[0].strip(" `"): [cell.strip() for cell in cells[1:]] for cells in rows}


def abi_names(kind: str) -> set[str]:
    return {item["name"] for item in ABI if item["type"] == kind}


def inputs(item: dict[str, Any]) -> list[str]:
    return [one["name"] for one in item["inputs"]]


class TestContract:
    def test_every_function_is_described(self):
        missing = {name for name in abi_names("function") if f"`{name}" not in PROTOCOL}
        assert not missing

    def test_every_call_has_its_conditions(self):
        calls = table(PROTOCOL, "Calls")
        writing = {
            f"{item['name']}({', '.join(inputs(item))})"
            for item in ABI
            if item["type"] == "function" and item["stateMutability"] == "nonpayable"
        }
        assert set(calls) == writing

    def test_every_error_is_listed_with_its_arguments(self):
        listed = table(PROTOCOL, "Errors")
        assert set(listed) == abi_names("error") - FOREIGN_ERRORS
        for item in ABI:
            if item["type"] == "error" and item["name"] in listed:
                assert all(name in listed[item["name"]][0] for name in inputs(item)), item["name"]

    def test_every_error_is_the_answer_to_a_condition(self):
        text = PROTOCOL.split("### Calls")[1].split("### What follows")[0]
        missing = {name for name in abi_names("error") - FOREIGN_ERRORS if name not in text}
        assert not missing

    def test_foreign_errors_are_named(self):
        assert abi_names("error") >= FOREIGN_ERRORS
        assert all(f"`{name}`" in PROTOCOL for name in FOREIGN_ERRORS)

    def test_every_event_is_listed_with_its_arguments(self):
        listed = table(PROTOCOL, "Events")
        assert list(listed) == [event.__name__ for event in ARGUMENTS]
        for item in ABI:
            if item["type"] == "event":
                stated = [part.split()[1] for part in listed[item["name"]][0].split(", ")]
                assert stated == inputs(item)[1:], item["name"]

    def test_terms_stand_in_order(self):
        stated = re.findall(r"^\| (\d) \| `(\w+)` \|", PROTOCOL, re.MULTILINE)
        snake = [
            re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name) for _, name in stated
        ]
        assert snake == [field.name for field in fields(Terms)]
        assert [int(position) for position, _ in stated] == list(range(8))


class TestEncodings:
    def test_every_vector_is_listed_with_its_digest(self):
        recorded = json.loads((ROOT / "tests/vectors/digests.json").read_text())
        stated = {
            name: cells[0].strip("`") for name, cells in table(PROTOCOL, "3. Encodings").items()
        }
        assert stated == recorded

    def test_the_digests_are_the_files(self):
        for name, cells in table(PROTOCOL, "3. Encodings").items():
            blob = (ROOT / "tests/vectors" / name).read_bytes()
            assert hashlib.sha256(blob).hexdigest() == cells[0].strip("`")

    def test_the_stated_norm_and_content_are_those_of_the_vector(self):
        blob = (ROOT / "tests/vectors/update_1.safetensors").read_bytes()
        assert f"has the norm {norm(decode_update(blob).arrays)!r}" in " ".join(PROTOCOL.split())
        assert digest_of(payload_of(blob)).hex() in PROTOCOL

    def test_every_validity_rule_is_listed_in_order(self):
        listed = re.findall(r"`(\w+)`", " ".join(_first_cells(PROTOCOL, "Validity")))
        assert listed == [
            *("member", "task", "round", "client", "parent_digest", "num_examples", "codec"),
            *("examples_limit", "tensors", "finite", "norm_limit", "repeat"),
        ]
        assert set(listed) == set(_rules_in_code())


def _first_cells(text: str, heading: str) -> list[str]:
    section = text.split(f"### {heading}\n", 1)[1].split("\n### ")[0]
    return [line.split("|")[1] for line in section.splitlines() if line.startswith("| ")][1:]


def _rules_in_code() -> Iterator[str]:
    """What `UpdateInvalid` is raised with; where that is a loop's variable, what the loop goes over."""
    for name in ("validity", "round"):
        tree = ast.parse((ROOT / f"fl_node/{name}.py").read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "UpdateInvalid":
                if isinstance(node.args[0], ast.Constant):
                    yield node.args[0].value
            elif isinstance(node, ast.For) and "UpdateInvalid(field" in ast.unparse(node):
                yield from ast.literal_eval(node.iter)


class TestAudit:
    def test_steps_have_the_titles_of_the_report(self):
        assert dict(re.findall(r"^### (A\d): (.*)$", PROTOCOL, re.MULTILINE)) == STEPS

    @pytest.mark.parametrize(
        "keys",
        [
            AuditReport(1, dict.fromkeys(STEPS, Status.CLEAN), ()).to_json(),
            ["title", "status", "findings"],
            [field.name for field in fields(Finding)],
            [field.name for field in fields(AuditedRound)],
            [field.name for field in fields(AuditedUpdate)],
            [field.name for field in fields(Deployment)],
            report_rounds([ROUND], {})[0],
            ["audit", "rounds", "seconds", "history_head", "final_digest", "workspace"],
        ],
    )
    def test_every_key_of_the_reports_is_named(self, keys):
        text = PROTOCOL.split("## 8. ")[1].split("## 9. ")[0]
        assert [key for key in keys if f"`{key}`" not in text] == []


def manifest_fields(
    section: type[BaseModel] = Manifest, default: BaseModel | None = None, prefix: str = ""
) -> Iterator[tuple[str, str]]:
    """Every field's dotted name, with its default as docs/manifest.md writes it."""
    for name, field in section.model_fields.items():
        value = getattr(default, name) if default else field.get_default()
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            given = value if isinstance(value, BaseModel) else None
            yield from manifest_fields(kind, given, f"{prefix}{name}.")
        elif default is None and field.is_required():
            yield prefix + name, "required"
        else:
            yield prefix + name, _written(value)


def _written(value: object) -> str:
    match value:
        case None:
            return "none"
        case tuple():
            return f"`{json.dumps(value)}`"
        case Decimal():
            return f"`{value.normalize():f}`"
        case _:
            return f"`{value}`"


class TestManifest:
    def test_every_field_is_listed_with_its_default(self):
        stated = re.findall(r"^\| `([\w.]+)` \|.*\| ([^|]+) \|$", MANIFEST, re.MULTILINE)
        presets = [(name, cells) for name, cells in stated if name in PRESETS]
        assert [pair for pair in stated if pair not in presets] == list(manifest_fields())

    def test_every_preset_is_listed_with_its_choices(self):
        listed = table(MANIFEST, "Presets")
        for name, choices in PRESETS.items():
            assert listed[name] == [f"`{choice}`" for choice in choices.values()]
        assert set(listed) == set(PRESETS)

    def test_the_example_is_a_manifest(self, tmp_path: Path):
        (example,) = blocks(MANIFEST, "toml")
        (tmp_path / "manifest.toml").write_text(example)
        assert read_manifest(tmp_path / "manifest.toml").addresses == MEMBERS

    def test_the_example_names_every_field(self):
        example = tomllib.loads(blocks(MANIFEST, "toml")[0])
        unnamed = [name for name, _ in manifest_fields() if not _names(example, name)]
        assert unnamed == ["format", "strategy.work.steps"]  # fixed; given instead: epochs


def _names(values: Any, dotted: str) -> bool:
    first, _, rest = dotted.partition(".")
    return first in values and (not rest or _names(values[first], rest))


class TestCommands:
    def test_the_reference_is_what_the_commands_say(self):
        script = ROOT / "scripts/write_command_reference.py"
        done = subprocess.run(
            [sys.executable, str(script), "--check"], capture_output=True, text=True, cwd=ROOT
        )
        assert (done.returncode, done.stderr) == (0, "")

    def test_the_reference_names_the_options_of_every_help(self):
        for command, section in _reference():
            helped = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200"})
            shown = set(re.findall(r"^│[ *]+(--[\w-]+)", helped.output, re.MULTILINE))
            assert {*_options(section), "--help"} == shown, command

    def test_every_command_and_option_mentioned_anywhere_exists(self):
        known = {command: set(_options(section)) for command, section in _reference()}
        for path in PAGES:
            for words, rest in re.findall(r"\bganchor ((?:key |task )?[a-z]+)\b(.*)", _code(path)):
                assert words in known, f"{path.name}: ganchor {words}"
                used = set(re.findall(r"(?<!\S)--[a-z][\w-]*", rest.split("#")[0]))
                assert used <= known[words], f"{path.name}: ganchor {words}{rest}"


def _reference() -> list[tuple[str, str]]:
    """The commands of docs/commands.md, each with its section."""
    text = (DOCS / "commands.md").read_text()
    return re.findall(r"^## `ganchor (.*?)`\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)


def _options(section: str) -> list[str]:
    return re.findall(r"^\| `(--[\w-]+)`", section, re.MULTILINE)


def _code(path: Path) -> str:
    """What is set as code: blocks by indent or fence, and spans."""
    text = path.read_text()
    indented = re.findall(r"^    .*$", text, re.MULTILINE)
    fenced = re.findall(r"^```.*?^```$", text, re.DOTALL | re.MULTILINE)
    return "\n".join([*indented, *fenced, *re.findall(r"`([^`\n]+)`", text)])


class TestEveryPage:
    @page
    def test_links_resolve(self, path: Path):
        text = path.read_text()
        for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
            name, _, anchor = target.partition("#")
            found = (path.parent / name).resolve() if name else path
            assert found.exists(), target
            assert not anchor or anchor in _anchors(found.read_text()), target

    @page
    def test_toml_parses(self, path: Path):
        for block in blocks(path.read_text(), "toml"):
            tomllib.loads(block)

    @page
    def test_python_runs(self, path: Path, tmp_path: Path):
        for number, block in enumerate(blocks(path.read_text(), "python")):
            script = tmp_path / f"block_{number}.py"
            script.write_text(block)
            runpy.run_path(str(script))


def _anchors(text: str) -> set[str]:
    """What a link can point to within a page, as GitHub makes it from headings."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
