"""`ganchor provenance`: a signed statement beside a model's file, which says from which history it comes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from chain.errors import FileUnusable
from chain.files import map_file, read_file, write_whole
from chain.text import shown
from fl_node.blobs.digest import Blob, digest_of
from fl_node.cli import accounts, audit, options, wiring
from fl_node.cli.exits import FindingsReported
from fl_node.cli.words import follow_up
from fl_node.errors import Misuse, StatementInvalid
from fl_node.provenance import checking
from fl_node.provenance.claim import claim_of, is_file_of, model_file
from fl_node.provenance.envelope import (
    MAX_SIGNATURE_FILE_BYTES,
    Envelope,
    envelope_to_json,
    read_envelope,
    sign,
)
from fl_node.provenance.statement import (
    MAX_NAME,
    Statement,
    read_statement,
    statement_to_json,
)

SIGNATURE_FILE = "model.sig"
MAX_MODEL_FILE_BYTES = 1 << 40
"""The longest model file, as a manifest's limit allows it; it is mapped into memory, not read into it."""


def provenance(
    file: Annotated[
        Path, typer.Argument(help="The model: a .safetensors file of `ganchor weights`.")
    ],
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Check a statement instead of signing one. With --bundle also against that history; no chain is used.",
        ),
    ] = False,
    key: Annotated[
        Path | None,
        typer.Option(
            help="The private key that signs: P-256, in PEM, encrypted. --password-file has its password."
        ),
    ] = None,
    public_key: Annotated[
        Path | None, typer.Option(help="With --check: the public key in PEM of whom you trust.")
    ] = None,
    signature: Annotated[
        Path | None,
        typer.Option(help="The signature file. Default: model.sig beside the model."),
    ] = None,
    expect_head: Annotated[
        str | None,
        typer.Option(
            help="With --check: a history head that you trust, 64 hex digits; a statement about another one is a "
            "finding."
        ),
    ] = None,
    task: options.Task = 1,
    round: Annotated[
        str, typer.Option("--round", help="final, or a round's number; 0 is the genesis model.")
    ] = "final",
    store: options.StoreUrl = options.DEFAULT_STORE,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    workspace: options.WorkspaceFolder = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="Read the history from this file of `ganchor export`, with no chain."),
    ] = None,
    password_file: options.PasswordFile = None,
    as_json: options.Json = False,
) -> None:
    """Sign, or with --check check, from which history a model comes. Exit code of --check: 0 true, 1 findings, 2 none.

    The signature file is in the form of OpenSSF's model signing, whose own tool checks it too.
    """
    path = signature or file.with_name(SIGNATURE_FILE)
    content = _model(file)
    if check:
        if public_key is None:
            raise Misuse("--check needs --public-key: the key of whom you trust")
        _check(path, content, public_key, expect_head, bundle, store, as_json)
        return
    if key is None:
        raise Misuse("give --key, a private key that signs, or --check")
    with audit.subject_of(bundle, workspace, rpc_url, deployment, store, task) as subject:
        statement = _statement(file, content, subject, _round(round))
    from fl_node.provenance.keys import open_signing_key

    secret = open_signing_key(key, accounts.password(password_file))
    envelope = sign(statement_to_json(statement), secret)
    write_whole(path, envelope_to_json(envelope))
    if as_json:
        typer.echo(json.dumps(to_json(path, statement, envelope)))
        return
    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.print(f"wrote {path}: {file} is {_in_words(statement)}")
    console.print(f"signed with the key {envelope.hint}; publish its public key")
    console.print(f"check it: {follow_up(f'provenance {file} --check --public-key FILE')}")


def _model(file: Path) -> Blob:
    if shown(file.name, MAX_NAME) != file.name:
        raise Misuse(f"{shown(file)}: a model's file has a name of printable characters")
    try:
        return map_file(file, MAX_MODEL_FILE_BYTES)
    except FileUnusable as error:
        raise Misuse(str(error)) from None


def _round(text: str) -> int | None:
    if text == "final":
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise Misuse(f"--round is {text[:100]!r}; allowed: final, or a number such as 3")
    return int(text)


def _statement(file: Path, content: Blob, subject: audit.Subject, round: int | None) -> Statement:
    """What is signed, once the file has been compared with the history's model.

    Raises:
        Misuse: The file is not the model.
    """
    ledger = subject.connect()
    claim = claim_of(ledger, subject.task, round)
    if not is_file_of(content, claim, model_file(ledger, subject.blobs, claim)):
        raise Misuse(
            f"{file} is not the model of round {claim.round}; "
            f"ganchor weights --round {claim.round} writes it, as .safetensors"
        )
    return Statement(file.name, digest_of(content), claim)


def _check(
    path: Path,
    content: Blob,
    public_key: Path,
    expect_head: str | None,
    bundle: Path | None,
    store: str,
    as_json: bool,
) -> None:
    from fl_node.provenance.keys import open_public_key

    key, head = open_public_key(public_key), wiring.read_digest("--expect-head", expect_head)
    envelope, statement = _read(path)
    findings = checking.check_signature(envelope, key)
    findings += checking.check_file(statement, digest_of(content))
    findings += [] if head is None else checking.check_head(statement, head)
    findings += [] if bundle is None else _against(statement, content, bundle, store)
    if as_json:
        typer.echo(json.dumps({**to_json(path, statement, envelope), "findings": findings}))
    else:
        _print(statement, envelope, findings, unchecked=head is None and bundle is None)
    if findings:
        raise FindingsReported


def to_json(path: Path, statement: Statement, envelope: Envelope) -> dict[str, object]:
    """What a signature file says, for machines."""
    claim = statement.claim
    return {
        "signature": str(path),
        "key": envelope.hint,
        "name": statement.name,
        "file_digest": statement.file_digest.hex(),
        "chain_id": claim.chain_id,
        "contract": claim.contract,
        "task": claim.task,
        "round": claim.round,
        "model_digest": claim.model_digest.hex(),
        "history_head": claim.history_head.hex(),
    }


def _print(statement: Statement, envelope: Envelope, findings: list[str], unchecked: bool) -> None:
    console = Console(soft_wrap=True, highlight=False, markup=False)
    console.print(f"the statement: {shown(statement.name)} is {_in_words(statement)}")
    for finding in findings:
        console.print(f"finding: {finding}")
    if findings:
        return
    console.print(f"signed with the key {envelope.hint}, and true of this file")
    if unchecked:
        console.print(
            "not checked: whether there is such a history; give --expect-head, or --bundle and audit that"
        )


def _in_words(statement: Statement) -> str:
    claim = statement.claim
    return (
        f"the model of round {claim.round} of task {claim.task} at {claim.contract} on chain {claim.chain_id}, "
        f"digest {claim.model_digest.hex()}, in the history with the head {claim.history_head.hex()}"
    )


def _read(path: Path) -> tuple[Envelope, Statement]:
    try:
        envelope = read_envelope(read_file(path, MAX_SIGNATURE_FILE_BYTES))
        return envelope, read_statement(envelope.payload)
    except FileUnusable as error:
        raise Misuse(str(error)) from None
    except StatementInvalid as error:
        raise StatementInvalid(f"{path}: {error}") from None


def _against(statement: Statement, content: Blob, bundle: Path, store: str) -> list[str]:
    """The findings of a comparison with a history."""
    subject = audit.task_in_bundle(bundle, store)
    ledger = subject.connect()
    recorded = claim_of(ledger, subject.task, statement.claim.round)
    findings = checking.check_claim(statement, recorded)
    if not is_file_of(content, recorded, model_file(ledger, subject.blobs, recorded)):
        findings.append(f"the file is not the model of round {recorded.round} in {bundle}")
    return findings
