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
from pathlib import Path
from typing import Any

import pytest
from pages import DOCS, PROTOCOL, ROOT, blocks, table

from chain.artifact import load_artifact
from chain.deploy import Deployment
from chain.history import ARGUMENTS
from chain.types import Terms
from fl_node.audit import STEPS, AuditReport, Finding, Status
from fl_node.audit.report import AuditedRound, AuditedUpdate
from fl_node.audit.reported import Report, ReportedRound
from fl_node.blobs.digest import digest_of
from fl_node.blobs.encoding import UpdateHeader, decode_update
from fl_node.blobs.tensors import payload_of
from fl_node.cli.app import app
from fl_node.round.validity import norm
from fl_node.strategy.combine import COMBINE
from fl_node.strategy.encode import STAGES
from fl_node.strategy.train import TRAIN

PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())

ABI = load_artifact().abi


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
        assert set(listed) == abi_names("error")
        for item in ABI:
            if item["type"] == "error" and item["name"] in listed:
                assert all(name in listed[item["name"]][0] for name in inputs(item)), item["name"]

    def test_every_error_is_the_answer_to_a_condition(self):
        text = PROTOCOL.split("### Calls")[1].split("### What follows")[0]
        missing = {name for name in abi_names("error") if name not in text}
        assert not missing

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
        stated = {}
        for name, cells in table(PROTOCOL, "10. Test vectors").items():
            stated[name] = cells[0].strip("`")
            if cells[1]:
                stated[f"decoded by {_codec_of(name)}"] = cells[1].strip("`")
        assert stated == recorded

    def test_the_digests_are_the_files(self):
        for name, cells in table(PROTOCOL, "10. Test vectors").items():
            blob = (ROOT / "tests/vectors" / name).read_bytes()
            assert hashlib.sha256(blob).hexdigest() == cells[0].strip("`")

    def test_every_codec_has_its_wire_form(self):
        section = PROTOCOL.split("### Codecs\n")[1].split("\n## ")[0]
        assert re.findall(r"^#### `(\w+)`", section, re.MULTILINE) == [one.name() for one in STAGES]

    def test_every_rule_of_combination_has_its_arithmetic(self):
        section = PROTOCOL.split("### Aggregation\n")[1].split("\n## ")[0]
        assert {one.name() for one in COMBINE} <= set(re.findall(r"`(\w+)`", section))

    def test_every_slot_of_the_servers_state_is_named(self):
        slots = {
            slot for rules in (COMBINE, TRAIN) for rule in rules.values() for slot in rule.slots
        }
        listed = table(PROTOCOL, "Server state")
        assert set(listed) == {f"server.{slot}.NAME" for slot in slots}
        for kind, rule in {**COMBINE, **TRAIN}.items():
            for slot in rule.slots:
                assert f"`{kind.name()}`" in listed[f"server.{slot}.NAME"][0]

    def test_the_stated_header_norm_and_content_are_those_of_the_vector(self):
        blob = (ROOT / "tests/vectors/update.safetensors").read_bytes()
        update = decode_update(blob)
        assert f"has the norm {norm(update.arrays)!r}" in " ".join(PROTOCOL.split())
        assert digest_of(payload_of(blob)).hex() in PROTOCOL
        assert len(table(PROTOCOL, "Update")) == 1 + len(fields(UpdateHeader))
        shown = "".join(
            line.strip()
            for line in PROTOCOL.split("begins, without the line breaks,")[1].splitlines()[:7]
        )
        header = blob[8:].split(b',"generator.weight"')[0].decode()
        assert header in shown.replace("{...}", "")

    def test_every_validity_rule_is_listed_in_order(self):
        listed = re.findall(r"`(\w+)`", " ".join(_first_cells(PROTOCOL, "Validity")))
        assert listed == [
            *("member", "task", "round", "client", "parent_digest", "num_examples", "codec"),
            *("seed", "metrics", "versions", "steps_limit", "examples_limit", "tensors"),
            *("finite", "norm_limit", "repeat"),
        ]
        assert set(listed) == set(_rules_in_code())


def _codec_of(vector: str) -> str:
    return vector.removeprefix("encode_").removesuffix(".safetensors")


def _first_cells(text: str, heading: str) -> list[str]:
    section = text.split(f"### {heading}\n", 1)[1].split("\n### ")[0]
    return [line.split("|")[1] for line in section.splitlines() if line.startswith("| ")][1:]


def _rules_in_code() -> Iterator[str]:
    """What `UpdateInvalid` is raised with; where that is a loop's variable, what the loop goes over."""
    for name in ("round/validity", "round/verdicts", "strategy/encode/chain"):
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
            ["title", "status", "reasons", "findings"],
            [field.name for field in fields(Finding)],
            [field.name for field in fields(AuditedRound)],
            [field.name for field in fields(AuditedUpdate)],
            [field.name for field in fields(Deployment)],
            Report.model_fields,
            ReportedRound.model_fields,
        ],
    )
    def test_every_key_of_the_reports_is_named(self, keys):
        text = PROTOCOL.split("## 8. ")[1].split("## 9. ")[0]
        assert [key for key in keys if f"`{key}`" not in text] == []


class TestCommands:
    def test_the_reference_is_what_the_commands_say(self):
        script = ROOT / "scripts/write_command_reference.py"
        done = subprocess.run(
            [sys.executable, str(script), "--check"], capture_output=True, text=True, cwd=ROOT
        )
        assert (done.returncode, done.stderr) == (0, "")

    def test_the_reference_names_the_options_of_every_help(self, capsys, monkeypatch):
        monkeypatch.setenv("COLUMNS", "200")
        for command, section in _reference():
            with pytest.raises(SystemExit):
                app([*command.split(), "--help"], prog_name="ganchor")
            helped = capsys.readouterr().out
            shown = set(re.findall(r"^│[ *]+(--[\w-]+)", helped, re.MULTILINE))
            assert {*_options(section), "--help"} == shown, command

    def test_every_command_and_option_mentioned_anywhere_exists(self):
        known = {command: set(_options(section)) for command, section in _reference()}
        for path in PAGES:
            for words, rest in re.findall(
                r"\bganchor ((?:code |key |task |manifest )?[a-z]+)\b(.*)", _code(path)
            ):
                assert words in known, f"{path.name}: ganchor {words}"
                used = set(re.findall(r"(?<!\S)--[a-z][\w-]*", rest.split("#")[0]))
                assert used <= known[words], f"{path.name}: ganchor {words}{rest}"


def _reference() -> list[tuple[str, str]]:
    """The commands of docs/commands.md, each with its section."""
    text = (DOCS / "commands.md").read_text()
    return re.findall(r"^## `ganchor (.*?)`\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)


def _options(section: str) -> list[str]:
    return re.findall(r"^\| `(--[\w-]+)[`/]", section, re.MULTILINE)


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
    def test_files_that_are_mentioned_exist(self, path: Path):
        rooms = "fl_node|chain|tests|scripts|contracts|docs"
        named = re.findall(rf"(?<![\w/])((?:{rooms})/[\w./-]*\w)", path.read_text())
        assert [name for name in named if not (ROOT / name).exists()] == []

    @page
    def test_toml_parses(self, path: Path):
        for block in blocks(path.read_text(), "toml"):
            tomllib.loads(block)

    @page
    def test_python_runs(self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        """A page's examples go on from each other, so they run as one script, in an empty folder."""
        script = tmp_path / "examples.py"
        script.write_text("\n".join(blocks(path.read_text(), "python")))
        monkeypatch.chdir(tmp_path)
        runpy.run_path(str(script))


def _anchors(text: str) -> set[str]:
    """What a link can point to within a page, as GitHub makes it from headings."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
