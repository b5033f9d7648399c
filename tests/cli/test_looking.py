"""`ganchor tasks`, `log` and `advance`: which tasks there are, who did what, and ending a phase that is overdue."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from commanding import MEMBERS, STRANGER, Ganchor, Live, key_of
from doubles import MEMBERS as THREE
from doubles import Clock, small_manifest

from chain.accounts import address_of
from chain.errors import TaskUnknown
from chain.memory_ledger import MemoryLedger
from fl_node.cli.advance import end_overdue_phase
from fl_node.cli.log import following, line_of, to_json
from fl_node.cli.tasks import list_tasks
from fl_node.cli.workspace import Workspace
from fl_node.errors import Misuse


def on_memory(clock: Clock) -> MemoryLedger:
    """A ledger with one open task of three members."""
    manifest = small_manifest()
    ledger = MemoryLedger(THREE[0], clock=clock)
    ledger.open_task(b"m" * 32, b"g" * 32, manifest.addresses, manifest.terms())
    return ledger


def decline_all(ledger: MemoryLedger, round: int) -> None:
    for member in THREE:
        ledger.acting_as(member).skip(1, round)


class TestTasks:
    def test_people_see_number_name_and_progress(self, ganchor: Ganchor, live: Live) -> None:
        outcome = ganchor("tasks", *live.options)
        assert outcome.code == 0, outcome.err
        lines = [line.split() for line in outcome.out.splitlines() if "test" in line]
        assert lines[0] == ["1", "test", "2", "finished", "2", "of", "2"]
        assert lines[1] == ["2", "test", "2", "commit", "1", "of", "2"]

    def test_machines_see_the_same(self, ganchor: Ganchor, live: Live) -> None:
        listed = json.loads(ganchor("tasks", "--json", *live.options).out)
        assert listed[1] == {
            "task": 2,
            "name": "test",
            "members": 2,
            "phase": "commit",
            "round": 1,
            "rounds": 2,
        }

    def test_without_a_store_names_are_missing_and_nothing_else(
        self, ganchor: Ganchor, live: Live
    ) -> None:
        words = ["tasks", *live.chain_options, "--store", "nowhere"]
        assert [one["name"] for one in json.loads(ganchor(*words, "--json").out)][:2] == [None] * 2
        assert "not in the store" in ganchor(*words).out

    def test_a_contract_without_tasks(self) -> None:
        assert list_tasks(MemoryLedger(THREE[0]), None) == []


class TestLog:
    def test_each_event_of_a_finished_task_is_a_line(self, ganchor: Ganchor, live: Live) -> None:
        outcome = ganchor("log", "--task", live.finished, *live.chain_options)
        assert outcome.code == 0, outcome.err
        lines = outcome.out.splitlines()
        assert len(lines) == len(list(live.ledger().history(live.finished)))
        first = address_of(MEMBERS[0])[:8]
        assert "opened the task: 2 members, 2 rounds" in lines[0]
        assert any(f"{first}…" in line and "committed to an update" in line for line in lines)
        assert any("training loss 1.0000, held-out loss 2.0000" in line for line in lines)
        final = live.ledger().task_state(live.finished).parent_digest.hex()
        assert lines[-1].endswith(f"the task is finished: final model {final}")

    def test_machines_get_every_field(self, ganchor: Ganchor, live: Live) -> None:
        outcome = ganchor("log", "--json", "--follow", *live.chain_options)
        said = [json.loads(line) for line in outcome.out.splitlines()]
        (revealed, *_) = (one for one in said if one["event"] == "UpdateRevealed")
        assert revealed["reveal"]["num_examples"] == 10
        assert revealed["reveal"]["update_digest"] == live.reveals()[0].reveal.update_digest.hex()
        assert revealed["transaction"].startswith("0x") and len(revealed["transaction"]) == 66
        (opened, *_) = (one for one in said if one["event"] == "RoundOpened")
        assert opened["cohort"] == [address_of(signer) for signer in MEMBERS]

    def test_the_log_of_a_workspace(self, ganchor: Ganchor, workspace: Workspace) -> None:
        outcome = ganchor("log", "--workspace", workspace.folder)
        assert "the task is finished" in outcome.out.splitlines()[-1]

    def test_who_missed_a_deadline_is_named(self) -> None:
        clock = Clock()
        ledger = on_memory(clock)
        ledger.skip(1, 1)
        clock.time += 10_000
        ledger.advance(1)
        lines = [line_of(entry, THREE) for entry in ledger.history(1)]
        assert any("deadline missed by 0x000000…, 0x000000…" in line for line in lines)
        said = [to_json(entry, THREE) for entry in ledger.history(1)]
        (missed,) = (one["missed"] for one in said if one["event"] == "MembersMissed")
        assert missed == list(THREE[1:])
        assert all(json.dumps(one) for one in said)

    def test_following_ends_with_the_task(self) -> None:
        ledger = on_memory(Clock())
        seen: list[Any] = []
        follower = threading.Thread(
            target=lambda: seen.extend(following(ledger, 1, seconds=0.001)), daemon=True
        )
        follower.start()
        for round in (1, 2):
            decline_all(ledger, round)
        follower.join(timeout=60)
        assert seen == list(ledger.history(1))


class TestAdvance:
    def test_an_overdue_phase_is_ended_and_the_missing_are_named(self) -> None:
        clock = Clock()
        ledger = on_memory(clock)
        ledger.acting_as(THREE[1]).skip(1, 1)
        clock.time += 601
        ended = end_overdue_phase(ledger, 1)
        assert (ended.phase, ended.round, ended.missing) == ("commit", 1, (THREE[0], THREE[2]))
        assert (ended.next_phase, ended.next_round) == ("commit", 1)

    def test_the_last_second_still_belongs_to_the_members(self) -> None:
        clock = Clock()
        ledger = on_memory(clock)
        clock.time = ledger.task_state(1).deadline
        with pytest.raises(Misuse, match="commit phase of round 1 has 0 s left"):
            end_overdue_phase(ledger, 1)
        assert ledger.task_state(1).attempt == 0

    def test_a_finished_or_unknown_task_is_refused(self) -> None:
        ledger = on_memory(Clock())
        for round in (1, 2):
            decline_all(ledger, round)
        with pytest.raises(Misuse, match="task 1 is finished"):
            end_overdue_phase(ledger, 1)
        with pytest.raises(TaskUnknown):
            end_overdue_phase(ledger, 2)

    def test_a_deadline_ahead_costs_nothing(
        self, ganchor: Ganchor, live: Live, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GANCHOR_PRIVATE_KEY", key_of(STRANGER))
        outcome = ganchor("advance", "--task", live.open, *live.chain_options)
        assert outcome.code == 2
        assert "the commit phase of round 1 has" in outcome.err
