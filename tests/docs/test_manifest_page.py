"""docs/manifest.md and docs/algorithms.md, held against the code: every field, kind, knob and preset, no other."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doubles import MEMBERS
from pages import ALGORITHMS, MANIFEST, blocks, table
from pydantic import BaseModel

from fl_node.blobs.tensors import Schema, Spec
from fl_node.fields import Choice
from fl_node.manifest.code_learners import CodeLearner
from fl_node.manifest.learner_choice import LearnerChoice
from fl_node.manifest.learners import LEARNERS, GanLearner
from fl_node.manifest.manifest import Manifest, read_manifest
from fl_node.round.form import form_of
from fl_node.strategy.combine import COMBINE
from fl_node.strategy.encode import STAGES
from fl_node.strategy.presets import PRESETS, expand_preset
from fl_node.strategy.roles import Roles
from fl_node.strategy.send import SEND
from fl_node.strategy.strategy import Strategy
from fl_node.strategy.train import TRAIN


def manifest_fields(
    section: type[BaseModel] = Manifest, default: BaseModel | None = None, prefix: str = ""
) -> Iterator[tuple[str, str]]:
    """Every field's dotted name, with its default as docs/manifest.md writes it; all learners' fields in turn."""
    for name, field in section.model_fields.items():
        value = getattr(default, name) if default else field.get_default()
        kind = field.annotation
        if prefix + name == "roles":
            yield "roles", "from the learner"
        elif name == "learner":
            for learner in LEARNERS:
                yield from manifest_fields(learner, None, "learner.")
        elif isinstance(kind, type) and issubclass(kind, BaseModel) and kind is not Choice:
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
        case Choice():
            return f"`{value.kind}`"
        case tuple() | bool() | "":
            return f"`{json.dumps(value)}`"
        case Decimal():
            return f"`{value.normalize():f}`"
        case _:
            return f"`{value}`"


def _kinds_on_page(heading: str) -> dict[str, dict[str, str]]:
    """The kinds of a choice's table, each with its knobs and their defaults."""
    section = MANIFEST.split(f"### `{heading}`: ")[1].split("\n#")[0]
    kinds: dict[str, dict[str, str]] = {}
    for row in re.findall(r"^\| (?:\| )?`.*$", section, re.MULTILINE):
        kind, knob, meaning, _, default = (cell.strip() for cell in row[1:-1].split("|"))
        assert meaning
        if kind:
            kinds[kind.strip("`")] = {}
        else:
            list(kinds.values())[-1][knob.strip("`")] = default
    return kinds


def _in_code(kinds: Iterable[type[Choice]]) -> dict[str, dict[str, str]]:
    return {
        kind.name(): {
            name: _written(field.get_default())
            for name, field in kind.model_fields.items()
            if name != "kind"
        }
        for kind in kinds
    }


def _strategies_of(preset: str) -> Iterator[tuple[Strategy, Strategy]]:
    """A preset and what the page says it is, for each learner."""
    spans = re.findall(r"`([^`]+)`", table(MANIFEST, "Presets")[preset][0])
    for index, learner in enumerate(map(_example_of, LEARNERS)):
        stated = spans[min(index, len(spans) - 1)]
        written = tomllib.loads(f"strategy = {stated}", parse_float=Decimal)["strategy"]
        yield (
            Strategy.model_validate(expand_preset(preset, learner.body, learner.falling_loss)),
            Strategy.model_validate(written),
        )


def _example_of(learner: type[LearnerChoice]) -> LearnerChoice:
    """The learner with its defaults; what has none is made up."""
    if not issubclass(learner, CodeLearner):
        return learner()
    return learner(code="ab" * 32, entry="chest:Chest", genesis="cd" * 32)


class TestManifest:
    def test_every_field_is_listed_with_its_default(self):
        stated = re.findall(r"^\| `(\w+\.[\w.]+|\w+)` \|.*\| ([^|]+) \|$", MANIFEST, re.MULTILINE)
        named = dict(manifest_fields())
        assert [pair for pair in stated if pair[0] in named] == list(manifest_fields())
        assert {name for name, _ in stated if "." in name} <= named.keys()

    @pytest.mark.parametrize(
        ("choice", "kinds"),
        [("train", TRAIN), ("encode", STAGES), ("send", SEND), ("combine", COMBINE)],
    )
    def test_every_kind_is_listed_with_its_knobs_and_their_defaults(self, choice, kinds):
        assert _kinds_on_page(choice) == _in_code(kinds)

    def test_every_preset_is_listed(self):
        assert list(table(MANIFEST, "Presets")) == list(PRESETS)

    @pytest.mark.parametrize("preset", PRESETS)
    def test_a_preset_written_out_is_the_preset(self, preset):
        for expanded, stated in _strategies_of(preset):
            assert stated == expanded

    def test_every_choice_that_refuses_a_manifest_is_in_the_table_of_refusals(self):
        refused = MANIFEST.split("### What is refused")[1].split("\n## ")[0]
        first_cells = " ".join(re.findall(r"^\| ([^|]+) \|", refused, re.MULTILINE))
        objecting = [kind for kind in Strategy.kinds() if kind.objection is not Choice.objection]
        assert [one for one in objecting if f"`{one.name()}`" not in first_cells] == []

    def test_the_example_is_a_manifest(self, tmp_path: Path):
        (example,) = blocks(MANIFEST, "toml")
        (tmp_path / "manifest.toml").write_text(example)
        assert read_manifest(tmp_path / "manifest.toml").addresses == MEMBERS

    def test_the_example_names_every_field(self):
        example = tomllib.loads(blocks(MANIFEST, "toml")[0])
        others = {
            name
            for learner in LEARNERS[1:]
            for name, _ in manifest_fields(learner, None, "learner.")
        }
        own = {name for name, _ in manifest_fields(LEARNERS[0], None, "learner.")}
        asked = [name for name, _ in manifest_fields() if name not in others - own]
        unnamed = [name for name in asked if not _names(example, name)]
        # Fixed; follows from the learner; given instead: epochs.
        assert unnamed == ["format", "roles", "strategy.work.steps"]


def _names(values: Any, dotted: str) -> bool:
    first, _, rest = dotted.partition(".")
    return first in values and (not rest or _names(values[first], rest))


MILLION: Schema = {"w": Spec((1000, 1000), np.dtype(np.float32))}


class TestAlgorithms:
    def test_every_preset_has_its_line(self):
        named = re.findall(r"^\| [^|]+ \| `(\w+)` \|", ALGORITHMS, re.MULTILINE)
        assert sorted(named) == sorted(PRESETS)

    def test_every_preset_is_in_one_of_the_five_families(self):
        families = ALGORITHMS.split("There are five families.")[1].split("*Up* and *down*")[0]
        assert sorted(re.findall(r"`(\w+)`", families)) == sorted(PRESETS)
        assert len(re.findall(r"^- ", families, re.MULTILINE)) == 5

    @pytest.mark.parametrize("preset", PRESETS)
    def test_the_stated_traffic_is_that_of_the_codecs_and_the_servers_state(self, preset):
        (up, down) = re.search(
            rf"^\| [^|]+ \| `{preset}` \|.*\| ([\d.]+)[^|]* \| ([\d.]+)[^|]* \|$",
            ALGORITHMS,
            re.MULTILINE,
        ).groups()
        strategy = Strategy.model_validate(
            expand_preset(preset, GanLearner.body, GanLearner.falling_loss)
        )
        form = form_of(MILLION, Roles(), TRAIN[type(strategy.train)].slots)
        ratio = _bytes(form.encoded(strategy.encode.stages)) / _bytes(MILLION)
        assert up == f"{ratio:.3g}"
        assert int(down) == 1 + len(strategy.slots)


def _bytes(schema: Schema) -> int:
    return sum(math.prod(spec.shape) * spec.dtype.itemsize for spec in schema.values())
