"""A real chain for tests of the whole loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from running import Running, signers

from chain.accounts import address_of
from chain.deploy import deploy
from chain.devnet import devnet_in_thread
from fl_node.blobs.store import open_store
from fl_node.cli.wiring import connect
from fl_node.learning.task import derive_genesis
from fl_node.manifest.manifest import Manifest
from fl_node.member.opening import open_task


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[Manifest], Running]]:
    """Open a manifest's task on a fresh local chain, served over HTTP."""
    members = signers(5)
    funded = [address_of(signer) for signer in members]
    with devnet_in_thread(tmp_path / "chain.sqlite", fund=funded) as rpc_url:
        deployment = deploy(rpc_url, members[0])

        def build(manifest: Manifest) -> Running:
            ledger = connect(rpc_url, deployment, members[0])
            store = open_store(tmp_path / "store")
            task = open_task(ledger, store, manifest, derive_genesis(manifest)).task
            return Running(tmp_path, rpc_url, deployment, store, manifest, task)

        yield build
