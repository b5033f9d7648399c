"""A chain with a finished task on it, and the command line."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from commanding import (
    MEMBERS,
    STRANGER,
    Ganchor,
    Live,
    clean_environment,
    finished_task,
    runner,
)
from doubles import small_genesis, small_manifest

from chain.accounts import address_of
from chain.devnet import devnet_in_thread
from fl_node.blobs.store import open_store
from fl_node.cli import wiring
from fl_node.cli.workspace import Workspace
from fl_node.member.opening import open_task


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """What a demo leaves: chain, deployment and store of a finished task. Its chain is not running."""
    place = Workspace(tmp_path_factory.mktemp("finished") / "workspace")
    place.create()
    funded = [address_of(signer) for signer in (*MEMBERS, STRANGER)]
    with devnet_in_thread(place.database, fund=funded) as url:
        assert finished_task(url, place) == 1
    return place


@pytest.fixture(scope="session")
def live(finished: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A copy of it, running, with a second task that is open."""
    place = Workspace(tmp_path_factory.mktemp("live") / "workspace")
    shutil.copytree(finished.folder, place.folder)
    with devnet_in_thread(place.database) as url:
        ledger = wiring.open_ledger(url, place.deployment, MEMBERS[0])
        members = tuple(address_of(signer) for signer in MEMBERS)
        # Open for as long as any test may take.
        manifest = small_manifest(members, rounds={"count": 2, "commit_window": 86_400})
        opened = open_task(ledger, open_store(place.store), manifest, small_genesis())
        yield Live(url, place, finished=1, open=opened.task)


@pytest.fixture
def workspace(finished: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the finished task's folder, to do harm to."""
    place = Workspace(tmp_path / "workspace")
    shutil.copytree(finished.folder, place.folder)
    return place


@pytest.fixture
def ganchor(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Ganchor:
    """The command line, in an empty folder and a clean environment."""
    clean_environment(monkeypatch, tmp_path)
    return runner(capsys)


@pytest.fixture
def alice(ganchor: Ganchor, monkeypatch: pytest.MonkeyPatch) -> str:
    """A witness: her public line; her key lies in the file `key`, and the environment has the password."""
    monkeypatch.setenv("GANCHOR_PASSWORD", "secret")
    made = ganchor("witness", "--new-key", "alice.example/witness", "--key", "key")
    assert (made.code, made.err) == (0, "")
    return made.out.strip()
