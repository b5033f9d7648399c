"""Opens the account that signs: from a keystore and its password, or from a plain key on a dev chain."""

from __future__ import annotations

import os
from pathlib import Path

import typer

from chain.accounts import Signer, open_keystore, open_plain_key
from chain.errors import FileUnusable
from chain.files import read_text
from fl_node.errors import Misuse

PLAIN_KEY_VARIABLE = "GANCHOR_PRIVATE_KEY"
PASSWORD_VARIABLE = "GANCHOR_PASSWORD"
MAX_PASSWORD_BYTES = 4096


def open_signer(keystore: Path | None, password_file: Path | None, chain_id: int) -> Signer:
    """Unlock the account that signs.

    Without a keystore, a plain key from the environment is accepted on a dev chain.

    Raises:
        Misuse: Neither is given.
        AccountUnusable: The keystore or the password is wrong, or a plain key is given on another chain.
    """
    if keystore is not None:
        return open_keystore(keystore, password(password_file))
    plain = os.environ.get(PLAIN_KEY_VARIABLE)
    if plain is None:
        raise Misuse(
            f"no account: give --keystore FILE (or, on a dev chain only, set {PLAIN_KEY_VARIABLE})"
        )
    return open_plain_key(plain, chain_id)


def password(file: Path | None) -> str:
    """The password of a keystore: from a file, the environment, or a prompt.

    Raises:
        Misuse: The file cannot be read, or the prompt gets no answer.
    """
    given = _given_password(file)
    return _ask("Password of the keystore") if given is None else given


def new_password(file: Path | None) -> str:
    """The password for a new keystore: as `password`, but a prompt asks for it twice."""
    given = _given_password(file)
    return _ask("Password for the new keystore", twice=True) if given is None else given


def _given_password(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(PASSWORD_VARIABLE)
    try:
        return read_text(file, MAX_PASSWORD_BYTES).rstrip("\n")
    except FileUnusable as error:
        raise Misuse(f"password file {error}") from None


def _ask(question: str, twice: bool = False) -> str:
    try:
        return str(typer.prompt(question, hide_input=True, confirmation_prompt=twice, err=True))
    except typer.Abort:
        raise Misuse(
            f"no password: give --password-file, set {PASSWORD_VARIABLE}, or answer the prompt"
        ) from None
