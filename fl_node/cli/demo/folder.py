"""Creates the demo's folder, and removes it when the demo is interrupted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from fl_node.cli.words import follow_up
from fl_node.cli.workspace import Workspace


@contextmanager
def new_folder(workspace: Workspace, manifest: str) -> Iterator[None]:
    """Create the folder with its manifest and README.txt; remove it after Ctrl-C, so that the demo can run again.

    After an error the folder stays, because its logs say what happened.

    Raises:
        Misuse: The folder is not empty.
    """
    workspace.create()
    try:
        workspace.manifest.write_text(manifest)
        (workspace.folder / "README.txt").write_text(readme(workspace))
        yield
    except KeyboardInterrupt:
        shutil.rmtree(workspace.folder)
        raise


def readme(workspace: Workspace) -> str:
    """The text of README.txt, which explains each file of the folder."""
    return f"""\
`ganchor demo` wrote these files:

manifest.toml      what the members agreed on before training
deployment.json    where the contract is: chain, address, block
chain.sqlite       the local Ethereum chain, with the history of every round
store/             updates and models as safetensors files, each named by its sha256, which the chain records
samples/           pictures drawn from each round's model, with the same noise
nodes/             for each member: its logs (log.jsonl, errors.log) and what must survive a crash (state/)
report.json        the rounds: digests, losses in millionths (1386294 means 1.386294), gas, seconds
audit.json         the result of the audit, step by step
devnet.log         the chain's log

Some commands to try next:

{follow_up(f"audit --workspace {workspace.folder}")}
{follow_up(f"log --workspace {workspace.folder}")}
{follow_up(f"samples --workspace {workspace.folder} --rounds all")}
{follow_up(f"weights --workspace {workspace.folder}")}
"""
