"""What a Flower app says about itself: its pyproject.toml, the client app that it names, and how it is configured.

Nothing here needs Flower: a coordinator reads an app's folder without it.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from chain.errors import FileUnusable
from chain.files import read_text
from chain.text import shown
from fl_node.errors import CodeRefused

PROJECT_FILE: Final = "pyproject.toml"
MAX_PROJECT_BYTES = 1 << 20
MAX_NODE_CONFIG = 10_000
"""The longest text of `--node-config`, in characters."""

Value = bool | int | float | str
Config = Mapping[str, Value]
"""What Flower calls a user config: flat names, such as `local-epochs` or `optimiser.name`, and plain values."""

_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?")
_INTEGER = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Project:
    """What the pyproject.toml of a Flower app says.

    Attributes:
        client_app: `module:name` of the ClientApp; None if the file names none.
        config: The app's configuration, `[tool.flwr.app.config]`.
    """

    client_app: str | None = None
    config: Config = field(default_factory=dict)


def parse_project(text: str) -> Project:
    """Read a Flower app's pyproject.toml.

    Raises:
        CodeRefused: It is not TOML, or its configuration holds something else than text, numbers and booleans.
    """
    try:
        app = tomllib.loads(text).get("tool", {}).get("flwr", {}).get("app", {})
        client_app = app.get("components", {}).get("clientapp")
        config = _flat(app.get("config", {}))
    except (ValueError, AttributeError, RecursionError) as error:
        raise CodeRefused(f"{PROJECT_FILE}: cannot be read: {shown(error)}") from None
    if client_app is not None and not isinstance(client_app, str):
        raise CodeRefused(f"{PROJECT_FILE}: clientapp is no text")
    return Project(client_app, config)


def project_of(entry: str) -> Project:
    """The pyproject.toml beside the package or module of `entry`; an empty one if there is none.

    Args:
        entry: `module:name`, where the module can be found but need not be imported.

    Raises:
        CodeRefused: As `parse_project`, or the file cannot be read.
    """
    home = home_of(entry)
    file = None if home is None else home / PROJECT_FILE
    if file is None or not file.is_file():
        return Project()
    try:
        return parse_project(read_text(file, MAX_PROJECT_BYTES))
    except FileUnusable as error:
        raise CodeRefused(str(error)) from None


def home_of(entry: str) -> Path | None:
    """The folder in which the package or module of `module:name` lies; None if it cannot be found."""
    spec = find_spec(entry.partition(":")[0].partition(".")[0])
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent
    return folder.parent if spec.submodule_search_locations else folder


def run_config(project: Project, knobs: Mapping[str, Any]) -> dict[str, Value]:
    """The app's configuration with the manifest's knobs laid over it.

    For example, `learning-rate = 0.1` in the app and `"0.05"` in the manifest give 0.05. A manifest stores `0.05` as
    the text "0.05" and `1.0` as "1"; such a text becomes a float again, unless the app has text in its place.

    Raises:
        CodeRefused: A knob is of another type than the value in the app.
    """
    config = dict(project.config)
    for name, knob in _flat(knobs).items():
        config[name] = _as_in_app(name, knob, config.get(name))
    return config


def parse_node_config(text: str) -> dict[str, Value]:
    """Read what `--node-config` says, such as `partition-id=0 num-partitions=3 site="Ward 7"`.

    Integers, numbers with a fraction, `true` and `false` are taken as such; everything else, and what is quoted within
    its quotes, is text.

    Raises:
        CodeRefused: A part is not `name=value`, a name comes twice, or the text is too long.
    """
    if len(text) > MAX_NODE_CONFIG:
        raise CodeRefused(
            f"--node-config: {len(text)} characters, at most {MAX_NODE_CONFIG} are allowed"
        )
    try:
        parts = shlex.split(text)
    except ValueError as error:
        raise CodeRefused(f"--node-config: {error}: {shown(text)}") from None
    config: dict[str, Value] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not name or not equals or name in config:
            raise CodeRefused(
                f"--node-config: expected name=value once for each name: {shown(part)}"
            )
        config[name] = _plain(value)
    return config


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Value]:
    """Tables within tables become names with dots, as Flower has it."""
    flat: dict[str, Value] = {}
    for name, value in table.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        elif type(value) is int and not -(1 << 63) <= value < 1 << 63:
            raise CodeRefused(
                f"{shown(prefix + name)}: a Flower app's whole numbers have at most 64 bits"
            )
        elif isinstance(value, Value):
            flat[prefix + name] = value
        else:
            raise CodeRefused(
                f"{shown(prefix + name)}: a Flower app's values are text, numbers, true or false, "
                f"not {type(value).__name__}"
            )
    return flat


def _as_in_app(name: str, knob: Value, in_app: Value | None) -> Value:
    value = knob if isinstance(in_app, str) else _number(knob)
    if isinstance(in_app, float) and type(value) is int:
        value = float(value)
    if in_app is not None and type(value) is not type(in_app):
        raise CodeRefused(
            f"knob {shown(name)}: the app has {shown(repr(in_app))} there, the manifest {shown(repr(knob))}"
        )
    return value


def _number(value: Value) -> Value:
    return float(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value


def _plain(text: str) -> Value:
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    return _number(text) if "." in text else text
