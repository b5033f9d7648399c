"""A receipt from somebody who gains by it: it says another outcome, hides events, or is another history's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from receipts import ANA, BEN, CLEO, FIRST, NEVER, SECOND, THIRD, Played, played

from chain.history import head_of
from chain.types import Entry
from fl_node.blobs.canonical import canonical_json
from fl_node.errors import ReceiptInvalid
from fl_node.receipt.checking import findings_in, make_receipt
from fl_node.receipt.claim import Claim, Outcome
from fl_node.receipt.file import UpdateReceipt, read_receipt, receipt_to_json

TASK = played()
HEAD = TASK.state.view.history_head
OTHER = "0x000000000000000000000000000000000000dEaD"


def genuine(member: Any = CLEO, update: bytes | None = None) -> dict[str, Any]:
    made = make_receipt(TASK.state, TASK.entries, 1, member, update)
    value: dict[str, Any] = json.loads(receipt_to_json(made))
    return value


def check(value: Any, expected_head: bytes | None = HEAD) -> list[str]:
    """As somebody who got the file checks it."""
    return findings_in(read_receipt(canonical_json(value)), expected_head)


def its_head(receipt: dict[str, Any]) -> str:
    """The head that a receipt's log does lead to."""
    read = read_receipt(canonical_json(receipt))
    return "0x" + head_of(read.chain_id, read.contract, read.task, read.entries).hex()


class TestLyingAboutTheUpdate:
    def test_the_genuine_one_is_true(self) -> None:
        assert check(genuine()) == []

    @pytest.mark.parametrize(
        "change",
        [
            {"outcome": "included"},
            {"outcome": "aborted"},
            {"outcome": "not revealed", "attempt": None},
            {"attempt": 0},
            {"attempt": None},
            {"member": ANA},
            {"member": BEN},
            {"update": "0x" + FIRST.hex()},
            {"update": "0x" + NEVER.hex()},
            {"update": None},
        ],
        ids=str,
    )
    def test_an_altered_claim_is_false(self, change: dict[str, Any]) -> None:
        value = genuine()
        value["claim"].update(change)
        (finding,) = check(value)
        assert finding.startswith("the log says: ")

    def test_one_of_another_round_is_false(self) -> None:
        for round in (0, 2, 3, 65_535):
            value = genuine()
            value["claim"]["round"] = round
            assert check(value) == [f"round {round} is not final at this head"]

    def test_one_about_a_stranger_is_false(self) -> None:
        value = genuine()
        value["claim"].update(member=OTHER, update=None, attempt=None, outcome="not revealed")
        assert check(value) == [f"{OTHER} is no member of the task"]

    def test_what_an_aborted_attempt_revealed_is_not_in_the_round(self) -> None:
        """Ben revealed this update, and it was valid: but the attempt came to nothing."""
        value = genuine(BEN, FIRST)
        value["claim"].update(outcome="included", attempt=1)
        (finding,) = check(value)
        assert "is not in round 1" in finding and "attempt 0, which was aborted" in finding

    def test_an_update_of_one_member_is_not_that_of_another(self) -> None:
        """Ana and Ben both revealed it, in different attempts; only Ana's is in the round."""
        value = genuine(ANA, FIRST)
        value["claim"]["member"] = BEN
        assert any(finding.startswith("the log says: ") for finding in check(value))


class TestLyingAboutTheLog:
    @pytest.mark.parametrize("place", range(len(TASK.entries)))
    def test_a_hidden_event_is_found(self, place: int) -> None:
        value = genuine()
        value["events"].pop(place)
        assert any("the log leads to the head" in finding for finding in check(value))

    @pytest.mark.parametrize("place", range(1, len(TASK.entries) - 1))
    def test_a_hidden_event_breaks_the_rules_even_under_a_head_of_its_own(self, place: int) -> None:
        value = genuine(ANA)
        value["events"].pop(place)
        value["head"] = its_head(value)
        found = check(value)
        assert any(finding.startswith("expected the head ") for finding in found)
        assert any(finding.startswith("the log breaks the protocol: ") for finding in found)

    def test_a_log_that_is_cut_before_the_result_says_nothing_about_the_round(self) -> None:
        value = genuine()
        del value["events"][12:]
        value["head"] = its_head(value)
        found = check(value, expected_head=None)
        assert "round 1 is not final at this head" in found

    def test_a_forged_bitmap_is_found(self) -> None:
        """The result with another member's bit, in a log that is folded anew: nobody attested to it."""
        value = genuine()
        final = value["events"][-2]
        assert final["data"].endswith("3")
        final["data"] = final["data"][:-1] + "7"
        value["head"] = its_head(value)
        value["claim"]["outcome"] = "included"
        found = check(value, expected_head=None)
        assert any(finding.startswith("the log breaks the protocol: ") for finding in found)
        assert any(finding.startswith("expected the head ") for finding in check(value))

    @pytest.mark.parametrize("change", [{"chain_id": 1}, {"head": "0x" + "00" * 32}], ids=str)
    def test_another_chain_or_head_is_found(self, change: dict[str, Any]) -> None:
        found = check({**genuine(), **change}, expected_head=None)
        assert any("the log leads to the head" in finding for finding in found)

    def test_another_contract_or_task_is_found(self) -> None:
        moved = genuine()
        moved["contract"] = OTHER
        for event in moved["events"]:
            event["address"] = OTHER
        renamed = genuine()
        renamed["task"] = 7
        for event in renamed["events"]:
            event["topics"][1] = f"0x{7:064x}"
        for value in (moved, renamed):
            assert any("the log leads to the head" in finding for finding in check(value, None))

    def test_another_history_needs_a_head_from_elsewhere(self) -> None:
        """Whoever plays all members can make a true receipt of a history that never was."""
        invented = Played()
        updates = {ANA: FIRST, BEN: SECOND, CLEO: THIRD}
        invented.commit(1, updates)
        invented.reveal(1, updates)
        invented.attest(1, included=0b111)
        value = json.loads(receipt_to_json(make_receipt(invented.state, invented.entries, 1, CLEO)))
        assert value["claim"]["outcome"] == "included"
        assert check(value, expected_head=None) == []
        (finding,) = check(value)
        assert finding.startswith(f"expected the head {HEAD.hex()}")

    def test_times_and_blocks_are_the_writers_word(self) -> None:
        """The head does not cover them; but a time after a deadline breaks the rules."""
        value = genuine()
        value["events"][2]["block_hash"] = "0x" + "00" * 32
        assert check(value) == []
        value["events"][2]["timestamp"] += 10**6
        assert any(finding.startswith("the log breaks the protocol: ") for finding in check(value))


def spelt(edit: Callable[[dict[str, Any]], object]) -> bytes:
    value = genuine()
    edit(value)
    return canonical_json(value)


STRANGE: list[tuple[bytes, str]] = [
    (b"", "no receipt: "),
    (b"\xff", "no receipt: "),
    (b"{}", "expected an object with chain_id, "),
    (b"[" * 100_000, "nested more than"),
    (b"9" * 10_000, "digits"),
    (spelt(lambda value: value.pop("claim")), "receipt: expected an object"),
    (spelt(lambda value: value.update(more=1)), "receipt: expected an object"),
    (spelt(lambda value: value.update(format="ganchor-receipt-2")), "expected the format"),
    (spelt(lambda value: value.update(format="ganchor-bundle-1")), "expected the format"),
    (spelt(lambda value: value.update(claim=None)), "claim: expected an object"),
    (spelt(lambda value: value["claim"].update(outcome="in")), "no receipt: "),
    (spelt(lambda value: value["claim"].update(outcome=[])), "no receipt: "),
    (spelt(lambda value: value["claim"].update(outcome="\x1b[2J")), "no receipt: "),
    (spelt(lambda value: value["claim"].update(round=-1)), "expected a number"),
    (spelt(lambda value: value["claim"].update(round=1 << 16)), "expected a number"),
    (spelt(lambda value: value["claim"].update(round=True)), "expected a number"),
    (spelt(lambda value: value["claim"].update(attempt="1")), "no receipt: "),
    (spelt(lambda value: value["claim"].update(update="0xab")), "expected 32 bytes"),
    (spelt(lambda value: value["claim"].update(member="0xab")), "no receipt: "),
    (spelt(lambda value: value["claim"].update(update="0x" + "AB" * 32)), "not spelt as"),
    (spelt(lambda value: value.update(contract=OTHER.lower())), "no receipt: "),
    (spelt(lambda value: value.update(events={})), "expected a list of at most"),
    (spelt(lambda value: value["events"].reverse()), "come after"),
    (spelt(lambda value: value["events"].append(value["events"][0])), "come after"),
    (json.dumps(genuine()).encode(), "not spelt as"),
    (canonical_json(genuine()) + b"\n", "not spelt as"),
    (canonical_json(genuine()).replace(b'"task":1', b'"task":1,"task":1'), "same key twice"),
]


class TestFeedingTheReader:
    @pytest.mark.parametrize(("content", "says"), STRANGE, ids=range(len(STRANGE)))
    def test_what_is_no_receipt_is_refused_in_one_line(self, content: bytes, says: str) -> None:
        with pytest.raises(ReceiptInvalid, match=says) as refused:
            read_receipt(content)
        assert str(refused.value).isprintable() and len(str(refused.value)) < 1_000

    def test_an_empty_log_is_no_history(self) -> None:
        value = genuine()
        value["events"] = []
        assert f"{CLEO} is no member of the task" in check(value)


def test_a_receipt_of_an_impossible_log_is_false() -> None:
    """A result without a round that was opened, under a head that it does lead to."""
    state, entries = TASK.state, TASK.entries
    kept: list[Entry] = [entries[0], entries[-2]]
    head = head_of(state.chain_id, state.contract, state.task, kept)
    claim = Claim(1, CLEO, None, None, Outcome.NOT_REVEALED)
    forged = UpdateReceipt(state.chain_id, state.contract, state.task, head, claim, kept)
    found = findings_in(read_receipt(receipt_to_json(forged)))
    assert any(finding.startswith("the log breaks the protocol: ") for finding in found)
    assert "round 1 is not final at this head" in found
