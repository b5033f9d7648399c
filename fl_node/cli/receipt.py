"""`ganchor receipt`: one file that says whether a member's update is in a round, checked with no chain and no store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from chain.accounts import to_address
from chain.connection import Urls
from chain.files import read_file, write_whole
from chain.text import shown
from chain.types import Address, Entry
from fl_node.audit.cosignatures import Witnesses
from fl_node.bundle.reading import read_bundle
from fl_node.bundle.state import RecordedState
from fl_node.bundle.writing import settled_history
from fl_node.cli import options, wiring
from fl_node.cli.audit import read_witnesses
from fl_node.cli.exits import FindingsReported
from fl_node.cli.tables import print_cosigned
from fl_node.cli.words import follow_up
from fl_node.errors import Misuse
from fl_node.receipt.checking import findings_in, make_receipt
from fl_node.receipt.cosigned import check_cosigned
from fl_node.receipt.file import MAX_RECEIPT_BYTES, UpdateReceipt, read_receipt, receipt_to_json


def receipt(
    round: Annotated[
        int | None, typer.Option("--round", min=1, help="The round, which must be final.")
    ] = None,
    member: Annotated[str | None, typer.Option(help="The member's address.")] = None,
    update: Annotated[
        str | None,
        typer.Option(
            help="The update's digest, 64 hex digits. Default: the last that the member revealed in the round."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("receipt.json"),
    check: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Check this receipt instead; nothing else is read."),
    ] = None,
    expect_head: Annotated[
        str | None,
        typer.Option(
            help="With --check: a history head that you trust, 64 hex digits; any other makes the receipt false."
        ),
    ] = None,
    witness: options.Witness = None,
    cosigned: options.Cosigned = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="Take the history from this file of `ganchor export`, with no chain."),
    ] = None,
    task: options.Task = 1,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    workspace: options.WorkspaceFolder = None,
    as_json: options.Json = False,
) -> None:
    """Write or check one file that says whether a member's update is in a round. Exit code 1: what it says is false."""
    head = wiring.read_digest("--expect-head", expect_head)
    if check is not None:
        _check(check, head, read_witnesses(witness or (), cosigned or ()), as_json)
        return
    if round is None or member is None:
        raise Misuse("give --round and --member to write a receipt, or --check to check one")
    if head is not None or witness or cosigned:
        raise Misuse("--expect-head, --witness and --cosigned belong to --check")
    state, entries = _history(bundle, workspace, rpc_url, deployment, task)
    digest = wiring.read_digest("--update", update)
    _write(out, make_receipt(state, entries, round, _address(member), digest), as_json)


def _history(
    bundle: Path | None, workspace: Path | None, rpc_urls: Urls, deployment: Path, task: int
) -> tuple[RecordedState, list[Entry]]:
    """The state and the log of the task that the options name."""
    wiring.refuse_two_sources(bundle, workspace)
    if bundle is None:
        with wiring.evidence(workspace, rpc_urls, deployment) as evidence:
            ledger = wiring.open_ledger(evidence.rpc_urls, evidence.deployment, task=task)
            return settled_history(ledger, task)
    found = read_bundle(bundle)
    return found.state, found.entries


def _address(text: str) -> Address:
    try:
        return to_address(text)
    except ValueError as error:
        raise Misuse(f"--member: {error}") from None


def _write(out: Path, receipt: UpdateReceipt, as_json: bool) -> None:
    content = receipt_to_json(receipt)
    if len(content) > MAX_RECEIPT_BYTES:
        raise Misuse(f"the receipt has {len(content)} bytes, at most {MAX_RECEIPT_BYTES}")
    write_whole(out, content)
    if as_json:
        typer.echo(json.dumps({"file": str(out), **to_json(receipt)}))
        return
    typer.echo(f"wrote {out}: {receipt}")
    typer.echo(receipt.claim.reason)
    checking = f"receipt --check {out} --expect-head {receipt.head.hex()}"
    typer.echo(f"check it: {follow_up(checking)}")


def _check(path: Path, head: bytes | None, witnesses: Witnesses, as_json: bool) -> None:
    found = read_receipt(read_file(path, MAX_RECEIPT_BYTES))
    cosigned, objections = check_cosigned(found, witnesses)
    findings = [*findings_in(found, head), *objections]
    if as_json:
        said = {"cosigned": [asdict(one) for one in cosigned], "findings": findings}
        typer.echo(json.dumps({"file": str(path), **to_json(found), **said}))
    elif findings:
        _print_false(found, findings)
    else:
        _print_true(found, compared=head is not None or any(one.checked for one in cosigned))
        print_cosigned(Console(), cosigned)
    if findings:
        raise FindingsReported


def _print_false(found: UpdateReceipt, findings: Sequence[str]) -> None:
    typer.echo(f"false: {found}")
    for finding in findings:
        typer.echo(shown(finding))


def _print_true(found: UpdateReceipt, compared: bool) -> None:
    typer.echo(str(found))
    typer.echo(found.claim.reason)
    site = f"chain {found.chain_id}, contract {found.contract}, task {found.task}"
    typer.echo(f"{site}: its {len(found.entries)} events lead to this head and keep the rules")
    if not compared:
        typer.echo(
            "no proof yet: compare the head with one that you have from elsewhere, or give --expect-head or --witness"
        )


def to_json(receipt: UpdateReceipt) -> dict[str, object]:
    """What a receipt says, for machines."""
    claim = receipt.claim
    return {
        "chain_id": receipt.chain_id,
        "contract": receipt.contract,
        "task": receipt.task,
        "history_head": receipt.head.hex(),
        "round": claim.round,
        "member": claim.member,
        "update": None if claim.update is None else claim.update.hex(),
        "attempt": claim.attempt,
        "outcome": claim.outcome.value,
        "events": len(receipt.entries),
    }
