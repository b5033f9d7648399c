"""Ledgers for tests of the whole loop: a real chain, and a ledger in memory where the chain adds nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from running import Running, signers

from chain.accounts import Signer, address_of
from chain.deploy import deploy
from chain.devnet import devnet_in_thread
from chain.ledger import Ledger
from chain.memory_ledger import MemoryLedger
from fl_node.blobs.store import open_store
from fl_node.cli.wiring import connect
from fl_node.learning.task import derive_genesis
from fl_node.manifest.manifest import Manifest
from fl_node.member.opening import open_task

Ledgers = Callable[[Signer | None], Ledger]
"""A ledger as an account sees it, or as somebody who only reads."""

Start = Callable[[Manifest], Running]


@pytest.fixture(scope="session")
def on_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledgers]:
    """The contract on a local chain, served over HTTP; each test opens tasks of its own."""
    members = signers(5)
    database = tmp_path_factory.mktemp("devnet") / "chain.sqlite"
    with devnet_in_thread(database, fund=[address_of(one) for one in members]) as rpc_url:
        yield partial(connect, rpc_url, deploy(rpc_url, members[0]))


def starter(folder: Path, ledgers: Ledgers) -> Start:
    def start(manifest: Manifest) -> Running:
        store = open_store(folder / "store")
        opened = open_task(ledgers(signers(1)[0]), store, manifest, derive_genesis(manifest))
        return Running(folder, ledgers, lambda: ledgers(None), store, manifest, opened.task)

    return start


@pytest.fixture
def start(tmp_path: Path, on_chain: Ledgers) -> Start:
    """Open a manifest's task on the local chain."""
    return starter(tmp_path, on_chain)


@pytest.fixture
def start_in_memory(tmp_path: Path) -> Start:
    """Open a manifest's task on a ledger in memory."""
    ledger = MemoryLedger()
    return starter(
        tmp_path, lambda one: ledger if one is None else ledger.acting_as(address_of(one))
    )
