"""A receipt says what became of a member's update in a round, and is its own proof up to one head."""

from __future__ import annotations

from dataclasses import replace

import pytest
from doubles import NOBODY
from hypothesis import given, settings
from hypothesis import strategies as st
from receipts import ANA, BEN, CLEO, FIRST, NEVER, SECOND, THIRD, Played, opening, played

from chain.errors import HistoryInvalid
from chain.types import Address
from fl_node.errors import Misuse
from fl_node.receipt.checking import findings_in, make_receipt
from fl_node.receipt.claim import Claim, Outcome, claim_from
from fl_node.receipt.file import UpdateReceipt, read_receipt, receipt_to_json

TASK = played()
STATE, ENTRIES = TASK.state, TASK.entries


def receipt_of(member: Address, update: bytes | None = None) -> UpdateReceipt:
    return make_receipt(STATE, ENTRIES, 1, member, update)


class TestTheClaim:
    @pytest.mark.parametrize(
        ("member", "update", "attempt", "outcome"),
        [
            (ANA, FIRST, 1, Outcome.INCLUDED),
            (BEN, FIRST, 0, Outcome.ABORTED),
            (BEN, SECOND, 1, Outcome.INCLUDED),
            (CLEO, THIRD, 1, Outcome.LEFT_OUT),
            (CLEO, FIRST, None, Outcome.NOT_REVEALED),
            (ANA, NEVER, None, Outcome.NOT_REVEALED),
        ],
    )
    def test_says_what_became_of_an_update(
        self, member: Address, update: bytes, attempt: int | None, outcome: Outcome
    ) -> None:
        assert receipt_of(member, update).claim == Claim(1, member, update, attempt, outcome)

    @pytest.mark.parametrize(("member", "update"), [(ANA, FIRST), (BEN, SECOND), (CLEO, THIRD)])
    def test_is_about_the_last_update_where_none_is_named(
        self, member: Address, update: bytes
    ) -> None:
        assert receipt_of(member) == receipt_of(member, update)

    def test_about_who_revealed_nothing_needs_no_update(self) -> None:
        task = Played()
        task.commit(1, {ANA: FIRST, BEN: SECOND})
        task.reveal(1, {ANA: FIRST, BEN: SECOND})
        task.attest(1, included=0b011)
        made = make_receipt(task.state, task.entries, 1, CLEO)
        assert made.claim == Claim(1, CLEO, None, None, Outcome.NOT_REVEALED)
        assert str(made.claim) == f"no update of member {CLEO} is in round 1"
        assert made.claim.reason == "the member revealed none"

    def test_reads_as_a_sentence(self) -> None:
        head = STATE.view.history_head.hex()
        assert str(receipt_of(ANA)) == (
            f"update {FIRST.hex()} of member {ANA} is in round 1 of head {head}"
        )
        assert str(receipt_of(CLEO)) == (
            f"update {THIRD.hex()} of member {CLEO} is not in round 1 of head {head}"
        )
        reasons = [
            receipt_of(*of).claim.reason for of in ((ANA, FIRST), (CLEO, THIRD), (BEN, FIRST))
        ]
        assert reasons == [
            "revealed and included in attempt 1, which became final",
            "revealed and left out in attempt 1, which became final",
            "revealed in attempt 0, which was aborted, and in none after it",
        ]
        assert receipt_of(ANA, NEVER).claim.reason == "the member revealed another or none"

    @settings(deadline=None)
    @given(st.permutations([ANA, BEN, CLEO]), st.integers(1, 0b111))
    def test_an_update_is_in_a_round_exactly_if_its_members_bit_is(
        self, order: list[Address], included: int
    ) -> None:
        task = Played()
        updates = {member: bytes([number]) * 32 for number, member in enumerate(order)}
        task.commit(1, updates)
        task.reveal(1, updates)
        task.attest(1, included)
        said = [claim_from(task.entries, 1, member).outcome for member in (ANA, BEN, CLEO)]
        expected = [bool(included >> index & 1) for index in range(3)]
        assert [outcome is Outcome.INCLUDED for outcome in said] == expected


class TestMaking:
    @pytest.mark.parametrize("round", [2, 3, 65_535])
    def test_needs_a_round_that_is_final(self, round: int) -> None:
        with pytest.raises(Misuse, match=f"round {round} is not final at this head"):
            make_receipt(STATE, ENTRIES, round, ANA)

    def test_needs_a_member(self) -> None:
        with pytest.raises(Misuse, match=f"{NOBODY} is no member of the task"):
            receipt_of(NOBODY)

    def test_needs_the_log_that_leads_to_the_head(self) -> None:
        with pytest.raises(HistoryInvalid, match="the log leads to the head"):
            make_receipt(STATE, ENTRIES[:-1], 1, ANA)

    def test_of_a_later_head_says_the_same(self) -> None:
        task = played()
        before = make_receipt(task.state, task.entries, 1, BEN, FIRST)
        task.commit(2, {ANA: FIRST})
        after = make_receipt(task.state, task.entries, 1, BEN, FIRST)
        assert before.claim == after.claim and before.head != after.head


class TestTheFile:
    @pytest.mark.parametrize("member", [ANA, BEN, CLEO])
    @pytest.mark.parametrize("update", [None, FIRST, NEVER])
    def test_is_read_as_it_was_written_and_is_true(
        self, member: Address, update: bytes | None
    ) -> None:
        made = receipt_of(member, update)
        content = receipt_to_json(made)
        assert read_receipt(content) == made
        assert receipt_to_json(read_receipt(content)) == content
        assert findings_in(made, STATE.view.history_head) == []

    def test_has_one_spelling_that_another_program_can_give(self) -> None:
        content = receipt_to_json(receipt_of(CLEO))
        assert content.startswith(
            b'{"chain_id":1337,"claim":{"attempt":1,"member":"%s","outcome":"left out","round":1,"update":"0x%s"},'
            % (CLEO.encode(), THIRD.hex().encode())
        )
        end = b'"format":"ganchor-receipt-1","head":"0x%s","task":1}'
        assert content.endswith(end % STATE.view.history_head.hex().encode())


def test_losses_and_salts_are_covered_by_the_head() -> None:
    """Everything of a reveal is, not the digest alone: another loss is another head."""
    made = receipt_of(ANA)
    place = next(
        place
        for place, entry in enumerate(made.entries)
        if getattr(entry.event, "reveal", None) == opening(THIRD)
    )
    event = made.entries[place].event
    other = replace(event, reveal=replace(opening(THIRD), training_loss=0))  # type: ignore[call-arg]
    entries = [*made.entries]
    entries[place] = replace(entries[place], event=other)
    assert any(
        "the log leads to the head" in one for one in findings_in(replace(made, entries=entries))
    )
