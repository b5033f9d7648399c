"""The table of commands, and the group that imports a command only when it is called.

`ganchor --help` needs nothing but this table; `ganchor key address` needs no torch and no web3.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer.main
from typer.core import TyperCommand, TyperGroup

from fl_node.cli.exits import INTERRUPTED


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: its words, its module and function, and its help in one line."""

    words: str
    module: str
    function: str
    help: str

    def load(self) -> Any:
        """Import the function."""
        return getattr(import_module(f"fl_node.cli.{self.module}"), self.function)


COMMANDS = (
    Entry(
        "demo",
        "demo.demo",
        "demo",
        "Run the whole loop on this machine: chain, contract, nodes, training, audit.",
    ),
    Entry("devnet", "devnet", "devnet", "Run the local test chain on 127.0.0.1."),
    Entry("deploy", "deploy", "deploy", "Deploy the contract and write deployment.json."),
    Entry("key new", "key", "key_new", "Create an account, encrypted with a password."),
    Entry("key address", "key", "key_address", "Print the address of a keystore."),
    Entry(
        "manifest new",
        "manifest",
        "manifest_new",
        "Write a manifest for your members and your pictures or your own code, with comments.",
    ),
    Entry("manifest check", "manifest", "manifest_check", "Check a manifest without a chain."),
    Entry(
        "code show",
        "code",
        "code_show",
        "Show a task's own code before you allow it.",
    ),
    Entry("task open", "task", "open_task", "Open a task from a manifest."),
    Entry(
        "check",
        "check.check",
        "check",
        "Look at everything that a node with these options depends on, and say what would go wrong.",
    ),
    Entry("node", "node.node", "node", "Join a task and take part until it is finished."),
    Entry(
        "relay",
        "relay",
        "relay",
        "Send the signed acts of members without ether, and pay for them.",
    ),
    Entry(
        "explore",
        "explore",
        "explore",
        "Serve a page that shows a task's history and verifies it in the browser.",
    ),
    Entry("status", "status", "status", "Show a task: phase, deadline, and who has acted."),
    Entry(
        "tasks", "tasks", "tasks", "List the contract's tasks: number, name, members, phase, round."
    ),
    Entry("log", "log", "log", "Show who did what in a task, and when."),
    Entry("advance", "advance", "advance", "End a phase whose deadline has passed."),
    Entry(
        "audit",
        "audit",
        "audit",
        "Replay a task's whole history, from chain and store or a bundle.",
    ),
    Entry(
        "export",
        "export",
        "export",
        "Write a task's whole history into one file, which is audited without chain and store.",
    ),
    Entry(
        "receipt",
        "receipt",
        "receipt",
        "Write or check one file that says whether a member's update is in a round.",
    ),
    Entry(
        "witness",
        "witness",
        "witness",
        "Watch a task's history, and sign each head that extends the one before.",
    ),
    Entry("samples", "samples", "samples", "Draw 64 pictures from each of a task's models."),
    Entry(
        "weights",
        "weights",
        "weights",
        "Write a model's weights as safetensors or for PyTorch.",
    ),
    Entry(
        "provenance",
        "provenance",
        "provenance",
        "Sign, or with --check check, from which history a model comes.",
    ),
    Entry("evaluate", "evaluate.evaluate", "evaluate", "Measure models on test pictures."),
    Entry(
        "extractor",
        "evaluate.extractors",
        "extractor",
        "Train the extractor of a GAN's manifest and put it into the store.",
    ),
    Entry(
        "simulate",
        "simulate",
        "simulate",
        "Train a manifest's task in one process, without a chain.",
    ),
)

GROUPS = {
    "key": "Create and inspect encrypted keystores.",
    "manifest": "Write and check manifests.",
    "code": "Read a task's own code.",
    "task": "Open tasks.",
}
"""The help for the first word of a two-word command."""


class Listed(TyperCommand):
    """A command that is not imported yet: its name and its line, enough for its group's help."""

    def __init__(self, name: str, entry: Entry) -> None:
        super().__init__(name, help=entry.help)
        self._entry = entry

    def imported(self) -> Any:
        """The command itself. Its help is escaped, because rich would take `[inception]` for a style."""
        from rich.markup import escape

        single = typer.Typer(add_completion=False, rich_markup_mode="rich")
        single.command(self.name)(self._entry.load())
        command = typer.main.get_command(single)
        command.help = escape(command.help or "")
        for parameter in command.params:
            parameter.help = escape(getattr(parameter, "help", None) or "")  # type: ignore[attr-defined]
        return command


class Group(TyperGroup):
    """A group that imports a command when it is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that the arguments call, and import it."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.imported() if isinstance(command, Listed) else command, rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command; Ctrl-C ends it with one line."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("interrupted", err=True)
            raise typer.Exit(INTERRUPTED) from None


def command_line(help: str) -> Group:
    """All commands as one group, with the groups of `GROUPS` in it."""
    root = Group(
        name="ganchor",
        help=help,
        no_args_is_help=True,
        rich_markup_mode="rich",
        params=[*typer.main.get_install_completion_arguments()],
    )
    for entry in COMMANDS:
        *first, name = entry.words.split()
        group = _inner(root, first[0]) if first else root
        group.add_command(Listed(name, entry))
    return root


def _inner(root: Group, name: str) -> Group:
    if name not in root.commands:
        root.add_command(
            Group(name=name, help=GROUPS[name], no_args_is_help=True, rich_markup_mode="rich")
        )
    inner = root.commands[name]
    assert isinstance(inner, Group)
    return inner
