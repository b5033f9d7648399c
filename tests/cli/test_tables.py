"""The audit's tables stay readable, with findings too, and what has to be copied is whole."""

from __future__ import annotations

import pytest
from doubles import MEMBERS, Clock, small_manifest
from rich.console import Console

from chain.memory_ledger import MemoryLedger
from chain.types import Address
from fl_node.audit.report import STEPS, AuditedRound, AuditedUpdate, AuditReport, Finding, Status
from fl_node.cli.status import status_table
from fl_node.cli.tables import print_audit, print_digests, rounds_table

ALICE, BOB = (Address(f"0x{digit * 40}") for digit in "ab")
GOOD, BAD, MODEL = (f"{digit}" * 64 for digit in "123")
BECAUSE = "norm: expected at most 1000, got 31234.5; the update is left out by every honest member"
ROUND = AuditedRound(
    round=1,
    attempts=1,
    parent_digest="0" * 64,
    aggregate_digest=MODEL,
    updates=(
        AuditedUpdate(ALICE, GOOD, 450, 1, 1, included=True),
        AuditedUpdate(BOB, BAD, 1450, 1, 1, included=False, left_out_because=BECAUSE),
    ),
    training_loss=1_386_294,
    held_out_loss=23_456,
    opened_at=0,
    finalised_at=75,
)
FINDING = Finding("A5", "the blob is tampered", 1, BOB, BAD, expected=BAD, actual=GOOD)
REPORT = AuditReport(
    task=1,
    statuses=dict.fromkeys(STEPS, Status.FINDINGS),
    findings=(FINDING,),
    rounds=(ROUND,),
    history_head="4" * 64,
    final_digest=MODEL,
)


def printed(width: int) -> str:
    console = Console(width=width, force_terminal=False)
    with console.capture() as captured:
        console.print(rounds_table([ROUND], {1: 667_001}, held_out="KID held out"))
        print_audit(console, REPORT)
        print_digests(console, [ROUND])
    return captured.get()


@pytest.mark.parametrize("width", [80, 100, 120, 160])
class TestAtThisWidth:
    def test_every_cell_of_the_rounds_stands_on_its_line(self, width: int) -> None:
        lines = [line.split() for line in printed(width).splitlines()]
        first = ["1", "333333…", "+", "0xaaaaaa…", "111111…", "450", "1.3863", "0.0235", "667,001"]
        assert [*first, "75"] in lines
        assert ["-", "0xbbbbbb…", "222222…", "1450"] in lines

    def test_the_reason_is_one_line_below_the_table(self, width: int) -> None:
        line = f"round 1: 0xbbbbbb… was left out: {BECAUSE}"
        assert line in printed(width).splitlines()

    def test_each_steps_status_stands_beside_it(self, width: int) -> None:
        shown = printed(width)
        for step in STEPS:
            (line,) = (line for line in shown.splitlines() if line.strip().startswith(f"{step} "))
            assert line.rstrip().endswith("findings")

    def test_digests_can_be_copied(self, width: int) -> None:
        lines = printed(width).splitlines()
        assert f"A5: round 1, client {BOB}, digest {BAD}, the blob is tampered" in lines
        assert f"    expected {BAD}" in lines and f"    found    {GOOD}" in lines
        assert f"round 1: {MODEL}" in lines


def test_an_overdue_status_says_how_to_go_on_and_folds_no_digest() -> None:
    clock = Clock()
    ledger = MemoryLedger(MEMBERS[0], clock=clock)
    manifest = small_manifest()
    ledger.open_task(b"m" * 32, b"g" * 32, manifest.addresses, manifest.terms())
    state = ledger.task_state(1)
    console = Console(width=80)
    with console.capture() as captured:
        console.print(status_table(1, state, MEMBERS, now=state.deadline + 5))
    shown = captured.get()
    assert "passed 5 s ago" in shown and "ganchor advance --task 1 --keystore FILE" in " ".join(
        shown.split()
    )
    lines = [line.rstrip() for line in shown.splitlines()]
    assert f"history head  {state.history_head.hex()}" in lines
    assert f"current model {state.parent_digest.hex()}" in lines
