"""`ganchor code show`: a task's own code, to be read before it may run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import typer

from chain.text import visible
from fl_node.blobs.store import Store, open_store
from fl_node.cli import options, wiring
from fl_node.code.blob import MAX_CODE_BYTES, Code, read_code
from fl_node.code.consent import parse_digest
from fl_node.errors import BadData, BlobMalformed, Misuse
from fl_node.manifest.code_learners import CodeLearner
from fl_node.member.joining import load_manifest, stored_code

MAX_LINES = 20_000
"""The most lines of code that are shown."""
MAX_LINE = 2_000
"""The most characters of a line that are shown."""


@dataclass(frozen=True, slots=True)
class Found:
    """Code, and what the manifest that names it says of it; None if it was found by its digest alone."""

    code: Code
    learner: CodeLearner | None


def code_show(
    digest: Annotated[
        str | None,
        typer.Argument(
            metavar="SHA256", help="The code's digest. Default: that of the task's code."
        ),
    ] = None,
    task: options.Task = 1,
    store: options.StoreUrl = options.DEFAULT_STORE,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    workspace: options.WorkspaceFolder = None,
    as_json: options.Json = False,
) -> None:
    """Show a task's own code before you allow it. Prints what it is, its files, what it requires, and its text.

    It runs nothing.
    """
    if digest is not None:
        found = Found(_by_digest(open_store(store, must_exist=True), parse_digest(digest)), None)
    else:
        with wiring.evidence(workspace, rpc_url, deployment, store) as evidence:
            ledger = wiring.open_ledger(evidence.rpc_urls, evidence.deployment, task=task)
            blobs = open_store(evidence.store, must_exist=True)
            learner = load_manifest(ledger, blobs, task).learner
            if not isinstance(learner, CodeLearner):
                raise Misuse(f"task {task} trains a {learner.kind}, which comes with this package")
            found = Found(stored_code(learner, blobs), learner)
    if as_json:
        typer.echo(json.dumps(_to_json(found)))
    else:
        for line in _lines(found):
            typer.echo(line)


def _by_digest(store: Store, digest: bytes) -> Code:
    try:
        return read_code(store.get(digest, MAX_CODE_BYTES))
    except BadData as trouble:
        raise Misuse(f"code {digest.hex()}: {trouble}; is this the task's store?") from None


def _to_json(found: Found) -> dict[str, object]:
    code, learner = found.code, found.learner
    said = {} if learner is None else {"entry": learner.entry, "requires": list(learner.requires)}
    return {
        "digest": code.digest.hex(),
        "kind": code.kind,
        "tags": list(code.tags),
        **said,
        "files": dict(code.files),
        "texts": {name: _text(code, name) for name in code.files},
    }


def _text(code: Code, name: str) -> str | None:
    """A file's text; None for a file that is none, such as a compiled library.

    Raises:
        Misuse: The archive is damaged there.
    """
    try:
        return code.read(name).decode()
    except UnicodeDecodeError:
        return None
    except BlobMalformed as trouble:
        raise Misuse(f"code {code.digest.hex()}: {trouble}") from None


def _lines(found: Found) -> Iterator[str]:
    """What people read: the facts, the files, then every line, with whatever is no plain character made visible."""
    code, learner = found.code, found.learner
    yield f"code      {code.digest.hex()}"
    yield f"what      {_described(code)}"
    if learner is not None:
        yield f"entry     {learner.entry}"
        yield f"requires  {visible(', '.join(learner.requires), MAX_LINE) or 'no packages by name'}"
    yield f"files     {len(code.files)}, {sum(code.files.values())} bytes"
    for name, size in code.files.items():
        yield f"{size:10} {visible(name, MAX_LINE)}"
    left = MAX_LINES
    for name in code.files:
        yield ""
        yield f"--- {visible(name, MAX_LINE)}"
        text = _text(code, name)
        lines = [f"({code.files[name]} bytes, no text)"] if text is None else text.splitlines()
        yield from (visible(line.expandtabs(), MAX_LINE) for line in lines[:left])
        if len(lines) > left:
            yield f"... and {len(lines) - left} more lines, which --json has"
        left = max(0, left - len(lines))


def _described(code: Code) -> str:
    match code.kind:
        case "file":
            return "a Python file"
        case "folder":
            return "a folder of Python files"
        case "wheel":
            return f"a wheel, built for {visible(', '.join(code.tags), MAX_LINE)}"
