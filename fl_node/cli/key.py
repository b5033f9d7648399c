"""`ganchor key`: encrypted keystores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chain.accounts import address_of, create_keystore, keystore_address, open_keystore
from fl_node.cli import accounts, options


def key_new(
    file: Annotated[Path, typer.Argument(help="The keystore file to write.")],
    password_file: options.PasswordFile = None,
) -> None:
    """Create an account, encrypted with a password, and print its address."""
    typer.echo(create_keystore(file, accounts.new_password(password_file)))


def key_address(
    file: Annotated[Path, typer.Argument(help="The keystore.")],
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Open the keystore with its password and derive the address from its key.",
        ),
    ] = False,
    password_file: options.PasswordFile = None,
) -> None:
    """Print the address of a keystore: the one written in it or, with --check, that of its key."""
    if check:
        typer.echo(address_of(open_keystore(file, accounts.password(password_file))))
    else:
        typer.echo(keystore_address(file))
