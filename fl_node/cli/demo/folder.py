"""The demo's folder: made when everything else is sure to work, taken away when the demo is interrupted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from fl_node.cli.words import follow_up
from fl_node.cli.workspace import Workspace


@contextmanager
def new_folder(place: Workspace, manifest: str) -> Iterator[None]:
    """Make the folder with its manifest and README.txt; remove it after Ctrl-C, so that it blocks no second try.

    After an error it stays: the logs in it say what happened.

    Raises:
        Misuse: It holds something already.
    """
    place.create()
    try:
        place.manifest.write_text(manifest)
        (place.folder / "README.txt").write_text(readme(place))
        yield
    except KeyboardInterrupt:
        shutil.rmtree(place.folder)
        raise


def readme(place: Workspace) -> str:
    """What each file of the folder is."""
    return f"""\
What `ganchor demo` left here:

manifest.toml      what the members agreed on before training
deployment.json    where the contract is: chain, address, block
chain.sqlite       the local Ethereum chain, with the history of every round
store/             updates and models as safetensors files, each named by its sha256, which is what the chain records
samples/           pictures that each round's model draws, from the same noise
nodes/             for each member: what it said (log.jsonl, errors.log), and what it must not forget (state/)
report.json        the rounds: digests, losses in millionths (1386294 means 1.386294), gas, seconds
audit.json         what the audit found, step by step
devnet.log         what the chain said

Some commands that go on from here:

{follow_up(f"audit --workspace {place.folder}")}
{follow_up(f"log --workspace {place.folder}")}
{follow_up(f"samples --workspace {place.folder} --rounds all")}
{follow_up(f"export --workspace {place.folder}")}
"""
