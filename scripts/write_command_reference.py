"""Write docs/commands.md from the commands themselves; with --check, fail if it would change."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, TypeGuard, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from fl_node.cli.commands import COMMANDS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "commands.md"

INTRODUCTION = """\
# Commands

`scripts/write_command_reference.py` writes this page from the commands themselves; do not edit it.

A command that succeeds exits with 0. A command that fails exits with 2 and prints one line on standard error. Exit code
1 means that an audit has findings or that a check found something wrong, 130 means Ctrl-C, 143 that SIGTERM stopped a
node. `scripts/deploy_contracts.py`, `scripts/run_node.py` and `scripts/audit_history.py` are `ganchor deploy`,
`ganchor node` and `ganchor audit` under other names.

The account that signs comes from `--keystore`. Without it, a plain key in `GANCHOR_PRIVATE_KEY` is accepted, on the
dev chains 1337 and 31337 only. The keystore's password comes from `--password-file`, from `GANCHOR_PASSWORD`, or from
a prompt.

Other users of a machine can read the command lines of its processes. If the URL of a store or an endpoint holds a
credential, put it into `GANCHOR_STORE` or `ETH_RPC_URL` instead of `--store` or `--rpc-url`.

Commands that look at a task keep its log in `~/.cache/ganchor`, or in the folder that `GANCHOR_CACHE` names, so that
the next look asks only for what is new. The files may be deleted at any time.
"""


def main() -> int:
    """Return 0 if the page is written or unchanged, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 on a difference")
    page = render()
    if not parser.parse_args().check:
        PAGE.write_text(page)
        return 0
    if PAGE.exists() and PAGE.read_text() == page:
        return 0
    print(f"error: {PAGE.name} differs; run scripts/write_command_reference.py", file=sys.stderr)
    return 1


def render() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *(_section(entry.words, entry.load()) for entry in COMMANDS)])


def _section(name: str, function: Callable[..., Any]) -> str:
    rows = [_row(parameter, kind, info) for parameter, kind, info in parameters(function)]
    table = ["| option | value | default | meaning |", "|---|---|---|---|", *rows]
    return "\n".join([f"## `ganchor {name}`", "", inspect.getdoc(function) or "", "", *table, ""])


def parameters(
    function: Callable[..., Any],
) -> Iterator[tuple[inspect.Parameter, Any, OptionInfo | ArgumentInfo]]:
    """Yield each parameter with its type and its typer options."""
    hints = get_type_hints(function, include_extras=True)
    for parameter in inspect.signature(function).parameters.values():
        kind, info = get_args(hints[parameter.name])
        assert get_origin(hints[parameter.name]) is Annotated
        yield parameter, kind, info


def name_of(parameter: inspect.Parameter, info: OptionInfo | ArgumentInfo) -> str:
    """The name that a user types: an option's, or an argument's in capitals."""
    if isinstance(info, ArgumentInfo):
        return str(info.metavar or parameter.name.upper())
    # Inside Annotated, typer stores the first declaration as "default".
    declared = [text for text in (info.default, *(info.param_decls or ())) if _is_option(text)]
    return declared[0] if declared else f"--{parameter.name.replace('_', '-')}"


def _is_option(text: object) -> TypeGuard[str]:
    return isinstance(text, str) and text.startswith("--")


def _row(parameter: inspect.Parameter, kind: Any, info: OptionInfo | ArgumentInfo) -> str:
    meaning = f"{info.help} Environment: `{info.envvar}`." if info.envvar else str(info.help)
    cells = (f"`{name_of(parameter, info)}`", _value(kind, info), _default(parameter), meaning)
    return f"| {' | '.join(cells)} |"


def _value(kind: Any, info: OptionInfo | ArgumentInfo) -> str:
    options = [kind] if get_origin(kind) is list else [*get_args(kind)]
    option = next((option for option in options if option is not NoneType), kind)
    repeated = get_origin(option) is list
    plain = get_args(option)[0] if repeated else option
    if issubclass(plain, Enum):
        return ", ".join(str(member.value) for member in plain)
    word = {bool: "switch", int: "number", float: "number", Path: "path", str: "text"}[plain]
    limits = [f"from {info.min}"] if info.min is not None else []
    limits += [f"to {info.max}"] if info.max is not None else []
    return ", repeatable".join([" ".join([word, *limits]), *[""] * repeated])


def _default(parameter: inspect.Parameter) -> str:
    value = parameter.default
    if value is inspect.Parameter.empty:
        return "required"
    if value is None or value is False:
        return ""
    if isinstance(value, list):
        return " ".join(f"`{one}`" for one in value)
    return f"`{value.value if isinstance(value, Enum) else value}`"


if __name__ == "__main__":
    sys.exit(main())
