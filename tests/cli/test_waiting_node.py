"""What a node says while it waits: whom for, until when, once for each phase; and that it has a double."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from doubles import MEMBERS, Clock, small_manifest

from chain.memory_ledger import MemoryLedger
from chain.types import Phase, TaskState
from fl_node.cli.node.awaiting import Awaited, awaited, noticing
from fl_node.member.next_action import Action
from fl_node.member.participant import Step
from fl_node.member.state import Membership, NodeState


def opened() -> MemoryLedger:
    manifest = small_manifest()
    ledger = MemoryLedger(MEMBERS[0], clock=Clock())
    ledger.open_task(b"m" * 32, b"g" * 32, manifest.addresses, manifest.terms())
    return ledger


def folder_of(ledger: MemoryLedger, path: Path) -> NodeState:
    return NodeState(path, Membership(ledger.chain_id, ledger.contract, 1, MEMBERS[0]))


class Recorder:
    """A display that keeps what it is told."""

    def __init__(self) -> None:
        self.awaited: list[Awaited] = []
        self.noticed: list[Step | Exception] = []

    def show(self, what: Step | Exception | Awaited) -> None:
        if isinstance(what, Awaited):
            self.awaited.append(what)
        else:
            self.noticed.append(what)


def step(state: TaskState, action: Action = Action.WAIT) -> Step:
    return Step(action, state, None)


def test_the_missing_members_the_phase_and_its_end_are_named(tmp_path: Path) -> None:
    ledger = opened()
    ledger.acting_as(MEMBERS[1]).skip(1, 1)
    with folder_of(ledger, tmp_path / "state") as folder:
        what = awaited(ledger.task_state(1), MEMBERS, MEMBERS[0], folder)
    assert (what.missing, what.elsewhere) == ((MEMBERS[0], MEMBERS[2]), False)
    line = str(what)
    assert line.startswith("round 1: waiting in the commit phase for 0x000000…, 0x000000…, until ")
    assert line.endswith(" UTC")


def test_after_the_end_no_member_and_no_deadline_is_waited_for(tmp_path: Path) -> None:
    ledger = opened()
    over = replace(ledger.task_state(1), phase=Phase.FINISHED, deadline=0, awaited=0)
    with folder_of(ledger, tmp_path / "state") as folder:
        line = str(awaited(over, MEMBERS, MEMBERS[0], folder))
    assert line.startswith("round 1 is final, and the last: waiting until ")
    assert "00:00:00" not in line


def test_each_phase_is_told_once_and_every_step_is_passed_on(tmp_path: Path) -> None:
    ledger, display = opened(), Recorder()
    state = ledger.task_state(1)
    reveal = replace(state, phase=Phase.REVEAL)
    with folder_of(ledger, tmp_path / "state") as folder:
        notice = noticing(display.show, MEMBERS, MEMBERS[0], folder)
        for what in (step(state), step(state), step(state, Action.ADVANCE), step(reveal)):
            notice(what)
        notice(OSError("away"))
    assert [one.phase for one in display.awaited] == [Phase.COMMIT, Phase.REVEAL]
    assert len(display.noticed) == 5


def test_a_commit_from_another_folder_is_told(tmp_path: Path) -> None:
    ledger = opened()
    ledger.commit(1, 1, b"c" * 32)
    with folder_of(ledger, tmp_path / "state") as folder:
        what = awaited(ledger.task_state(1), MEMBERS, MEMBERS[0], folder)
    assert what.elsewhere
    assert "another node with the same account seems to be running" in str(what)
