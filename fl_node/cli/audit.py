"""`ganchor audit`: replay a task's history and report what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from chain.connection import Urls
from chain.deploy import read_deployment
from chain.ledger import LedgerReader
from chain.proofs import HeadProof
from fl_node.arrays import Arrays
from fl_node.audit import audit as replay_history
from fl_node.audit.cosignatures import NOBODY, Witnesses
from fl_node.audit.proven import HeldByBlock
from fl_node.audit.report import AuditReport
from fl_node.audit.reported import read_report
from fl_node.blobs.reader import Reader
from fl_node.blobs.store import open_store
from fl_node.bundle.reading import read_bundle
from fl_node.cli import options, wiring
from fl_node.cli.exits import FindingsReported
from fl_node.cli.tables import (
    print_audit,
    print_cosigned,
    print_digests,
    print_head,
    print_in_block,
    rounds_table,
)
from fl_node.cli.workspace import Workspace
from fl_node.errors import Misuse, NoteInvalid
from fl_node.manifest.code_learners import CodeLearner
from fl_node.manifest.manifest import Manifest
from fl_node.round.genesis import stored_genesis
from fl_node.witness.keys import read_verifier_key
from fl_node.witness.note import Note, read_notes_file


def audit(
    task: options.Task = 1,
    store: options.StoreUrl = options.DEFAULT_STORE,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    workspace: Annotated[
        Path | None,
        typer.Option(help="Audit this folder of `ganchor demo`, including its chain."),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            help="Audit this file of `ganchor export`: its task, with no chain, and with no store unless it was "
            "written --without-blobs."
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="A report.json; A9 checks it against the history."),
    ] = None,
    expect_head: Annotated[
        str | None,
        typer.Option(
            help="A history head that you trust, 64 hex digits; A2 reports any other head as a finding."
        ),
    ] = None,
    expect_block: Annotated[
        str | None,
        typer.Option(
            help="The hash of a block that you trust, 64 hex digits; A2 reports it if the bundle does not prove that "
            "this block holds its history head."
        ),
    ] = None,
    witness: options.Witness = None,
    cosigned: options.Cosigned = None,
    derive_genesis: Annotated[
        bool,
        typer.Option(
            "--derive-genesis",
            help="A4 also derives the genesis: from the seed (uses torch) or, for own code, from its first model.",
        ),
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Replay a task's whole history, from chain and store or a bundle. Exit code: 0 clean, 1 findings, 2 impossible."""
    head = wiring.read_digest("--expect-head", expect_head)
    block = wiring.read_digest("--expect-block", expect_block)
    unreported = "no --report was given"
    witnesses = read_witnesses(witness or (), cosigned or ())
    if workspace is not None and report is None:
        kept = Workspace(workspace)
        report, unreported = kept.existing_report(), f"{kept.report} does not exist"
    with subject_of(bundle, workspace, rpc_url, deployment, store, task) as subject:
        result = run_audit(
            subject,
            report=report,
            unreported=unreported,
            expected_head=head,
            witnesses=Witnesses(witnesses.keys, (*witnesses.notes, *subject.notes)),
            held=held_by_block(subject.proof, block, bundle),
            derive_genesis=derive_genesis,
            quiet=as_json,
        )
    if as_json:
        typer.echo(json.dumps(result.to_json()))
    else:
        console = Console()
        console.print(rounds_table(result.rounds))
        print_audit(console, result)
        print_digests(console, result.rounds)
        if result.history_head:
            print_head(console, result.history_head)
        print_in_block(console, result.in_block)
        print_cosigned(console, result.cosigned)
    if result.findings:
        raise FindingsReported


def held_by_block(
    proof: HeadProof | None, block: bytes | None, bundle: Path | None
) -> HeldByBlock | None:
    """What is to be checked of a bundle's proof; None if it has none, and none is needed.

    Raises:
        Misuse: A block is expected, and there is no proof.
    """
    if proof is not None:
        return HeldByBlock(proof, block)
    if block is None:
        return None
    if bundle is None:
        raise Misuse("--expect-block needs --bundle: the proof that the block holds the head")
    raise Misuse(
        f"{bundle} carries no proof that a block holds its history head: --expect-head compares the head itself"
    )


def read_witnesses(keys: Iterable[str], files: Iterable[Path]) -> Witnesses:
    """Read each `--witness`, and each file of `--cosigned`.

    Raises:
        Misuse: One is not a witness's key, or a file holds no notes.
    """
    try:
        trusted = tuple(map(read_verifier_key, keys))
    except NoteInvalid as error:
        raise Misuse(f"--witness: {error}") from None
    return Witnesses(trusted, tuple(note for file in files for note in read_notes_file(file)))


@dataclass(frozen=True, slots=True)
class Subject:
    """What is audited: opens the ledger, as A1 does; reads the blobs; which of the ledger's tasks; what lies beside."""

    connect: Callable[[], LedgerReader]
    blobs: Reader
    task: int
    notes: tuple[Note, ...] = ()
    proof: HeadProof | None = None


def task_on_chain(rpc_urls: Urls, deployment: Path, store: str, task: int) -> Subject:
    """A task as its chain and its store show it."""
    deployed = read_deployment(deployment)
    blobs = open_store(store, must_exist=True)
    return Subject(lambda: wiring.connect(rpc_urls, deployed, task=task), blobs, task)


def task_in_bundle(path: Path, store: str) -> Subject:
    """A task as a bundle shows it; its blobs from a store if the bundle only names them."""
    found = read_bundle(path)
    blobs = found.blobs or open_store(store, must_exist=True)
    return Subject(found.ledger, blobs, found.state.task, found.notes, found.proof)


@contextmanager
def subject_of(
    bundle: Path | None,
    workspace: Path | None,
    rpc_urls: Urls,
    deployment: Path,
    store: str,
    task: int,
) -> Iterator[Subject]:
    """What the options name. With --workspace, its chain is served in the `with` block."""
    wiring.refuse_two_sources(bundle, workspace)
    if bundle is None:
        with wiring.evidence(workspace, rpc_urls, deployment, store) as evidence:
            yield task_on_chain(evidence.rpc_urls, evidence.deployment, evidence.store, task)
    else:
        yield task_in_bundle(bundle, store)


def run_audit(
    subject: Subject,
    report: Path | None = None,
    unreported: str = "no report was given",
    expected_head: bytes | None = None,
    witnesses: Witnesses = NOBODY,
    held: HeldByBlock | None = None,
    derive_genesis: bool = False,
    quiet: bool = False,
) -> AuditReport:
    """Audit one task, with a progress bar on standard error."""
    console = Console(stderr=True)
    hidden = quiet or not console.is_terminal  # A log gets no bar, and no blank line in its place.
    with Progress(console=console, disable=hidden, transient=True) as bar:
        rounds = bar.add_task("auditing rounds", total=None)
        return replay_history(
            subject.connect,
            subject.blobs,
            subject.task,
            derive_genesis=_derivation(subject.blobs) if derive_genesis else None,
            reported=read_report(report) if report else None,
            unreported=unreported,
            expected_head=expected_head,
            witnesses=witnesses,
            held=held,
            progress=lambda done, of: bar.update(rounds, completed=done, total=of),
        )


def _derivation(store: Reader) -> Callable[[Manifest], Arrays]:
    def derive(manifest: Manifest) -> Arrays:
        if isinstance(manifest.learner, CodeLearner):
            return stored_genesis(manifest, manifest.learner, store)
        from fl_node.learning import (
            task,
        )  # Imports torch, which the rest of the audit does not need.

        return task.derive_genesis(manifest)

    return derive
