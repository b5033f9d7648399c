"""A small task on an in-memory ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from doubles import Clock, Federation, small_genesis, small_manifest

from chain.memory_ledger import MemoryLedger
from fl_node.blobs.global_state import first_state
from fl_node.blobs.store import open_store
from fl_node.manifest.manifest import Manifest
from fl_node.member.opening import open_task


@pytest.fixture(scope="session", autouse=True)
def no_wait_for_the_disk() -> Iterator[None]:
    """A test can kill a process, not the machine: syncing costs seconds here and could not be seen to work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda file: None)
        yield


@pytest.fixture
def federate(tmp_path: Path) -> Callable[..., Federation]:
    """Open a task with a manifest on a fresh ledger and store."""

    def build(manifest: Manifest | None = None, name: str = "federation") -> Federation:
        clock = Clock()
        manifest = manifest or small_manifest()
        ledger = MemoryLedger(clock=clock)
        store = open_store(tmp_path / name / "store")
        genesis = first_state(small_genesis(), manifest.strategy.slots)
        opened = open_task(ledger, store, manifest, genesis)
        return Federation(tmp_path / name, ledger, store, manifest, opened.task, clock)

    return build


@pytest.fixture
def federation(federate: Callable[..., Federation]) -> Any:
    return federate()
