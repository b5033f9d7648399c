"""From options to concrete parts: the account that signs, and the ledger."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import typer

from chain.accounts import Signer, open_keystore, open_plain_key
from chain.deploy import Deployment, read_deployment
from chain.errors import FileUnusable
from chain.files import read_text
from chain.web3_ledger import Web3Ledger
from fl_node.errors import Misuse

PLAIN_KEY_VARIABLE = "GANCHOR_PRIVATE_KEY"
PASSWORD_VARIABLE = "GANCHOR_PASSWORD"
MAX_PASSWORD_BYTES = 4096


def open_signer(keystore: Path | None, password_file: Path | None, chain_id: int) -> Signer:
    """Unlock the account that signs.

    A keystore wins; without one, a plain key from the environment is accepted on a dev chain.

    Raises:
        Misuse: Neither is given.
        AccountUnusable: Bad keystore, wrong password, or a plain key on a chain that is no dev chain.
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
        Misuse: The file cannot be read, or nobody answers the prompt.
    """
    given = _given_password(file)
    return _ask("Password of the keystore") if given is None else given


def new_password(file: Path | None) -> str:
    """The password for a new keystore, as `password`, but asked for twice at a prompt."""
    given = _given_password(file)
    return _ask("Password for the new keystore", twice=True) if given is None else given


def _given_password(file: Path | None) -> str | None:
    if file is None:
        return os.environ.get(PASSWORD_VARIABLE)
    try:
        return read_text(file, MAX_PASSWORD_BYTES).rstrip("\n")
    except FileUnusable as trouble:
        raise Misuse(f"password file {trouble}") from None


def _ask(question: str, twice: bool = False) -> str:
    try:
        return str(typer.prompt(question, hide_input=True, confirmation_prompt=twice, err=True))
    except typer.Abort:
        raise Misuse(
            f"no password: give --password-file, set {PASSWORD_VARIABLE}, or answer the prompt"
        ) from None


def open_ledger(rpc_url: str, deployment: Path, signer: Signer | None = None) -> Web3Ledger:
    """The contract of a deployment file, as `connect` does."""
    return connect(rpc_url, read_deployment(deployment), signer)


def connect(rpc_url: str, deployed: Deployment, signer: Signer | None = None) -> Web3Ledger:
    """The contract of a deployment, checked: expected chain, expected code."""
    return Web3Ledger(
        rpc_url,
        deployed.address,
        signer,
        chain_id=deployed.chain_id,
        first_block=deployed.block,
    )


@dataclass(frozen=True, slots=True)
class Part:
    """What `--partition` and `--part` say together: which part, from 0, of how many."""

    partition: str
    index: int
    count: int


def read_part(partition: str, part: str) -> Part:
    """Read `--part` as I/N, from 1/N to N/N.

    Raises:
        Misuse: It is not of that form.
    """
    index, _, count = part.partition("/")
    if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise Misuse(f"--part is {part!r}; allowed is I/N with I from 1 to N, such as 1/3")
    return Part(partition, int(index) - 1, int(count))
