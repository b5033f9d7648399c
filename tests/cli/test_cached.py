"""The logs that looking commands keep: where, and what if there is no place for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from doubles import MEMBERS, Clock

from chain.memory_ledger import MemoryLedger
from chain.types import Terms
from fl_node.cli.cached import cached_log


@pytest.fixture
def ledger() -> MemoryLedger:
    ledger = MemoryLedger(clock=Clock())
    terms = Terms(2, 60, 60, 60, 10_000, 3, 1, 5_000)
    ledger.open_task(b"\1" * 32, b"\2" * 32, MEMBERS, terms)
    return ledger


def look(ledger: MemoryLedger) -> int:
    head = ledger.task_state(1).history_head
    with cached_log(ledger, 1) as kept, kept.read_to(head) as log:
        return len(list(log.entries()))


def test_a_log_lies_in_the_folder_that_the_variable_names(
    ledger: MemoryLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANCHOR_CACHE", str(tmp_path / "logs" / "here"))
    assert look(ledger) == 2
    files = [path.name for path in (tmp_path / "logs" / "here").iterdir()]
    assert files == [f"1337-{ledger.contract}-1.sqlite"]
    assert (tmp_path / "logs" / "here").stat().st_mode & 0o777 == 0o700


def test_or_in_the_users_cache(
    ledger: MemoryLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GANCHOR_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert look(ledger) == 2
    assert len(list((tmp_path / ".cache" / "ganchor").iterdir())) == 1


def test_without_a_place_for_it_a_look_goes_on(
    ledger: MemoryLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GANCHOR_CACHE", str(tmp_path / "file" / "logs"))
    assert look(ledger) == 2
