"""A log of events, read as rounds: attempts kept apart, and half a log read as far as it is whole."""

from __future__ import annotations

import pytest
from doubles import MEMBERS, small_manifest

from chain.types import (
    Entry,
    Event,
    Phase,
    Reveal,
    RoundAborted,
    RoundFinalised,
    RoundOpened,
    TaskOpened,
    UpdateRevealed,
)
from fl_node.history.record import attempts_of_current_round, final_rounds, members_in, members_of

PARENT, AGGREGATE = bytes([1]) * 32, bytes([2]) * 32
TASK = TaskOpened(1, MEMBERS[0], PARENT, PARENT, MEMBERS, small_manifest().terms())


def opened(round: int, attempt: int = 0) -> RoundOpened:
    return RoundOpened(1, round, attempt, PARENT, bytes(32), 0b111, 100)


def revealed(round: int, member: int, number: int = 0) -> UpdateRevealed:
    return UpdateRevealed(1, round, MEMBERS[member], Reveal(bytes([number] * 32), 1, 0, 0, PARENT))


def aborted(round: int, attempt: int = 0) -> RoundAborted:
    return RoundAborted(1, round, attempt, Phase.REVEAL)


def finalised(round: int) -> RoundFinalised:
    return RoundFinalised(1, round, AGGREGATE, 0b1)


def log(*events: Event) -> list[Entry]:
    """One block for each event, ten seconds apart."""
    return [Entry(event, at, 0, 10 * at) for at, event in enumerate(events, start=1)]


TWO_ROUNDS = (
    TASK,
    opened(1),
    revealed(1, 0),
    aborted(1),
    opened(1, 1),
    revealed(1, 1),
    revealed(1, 0),
    finalised(1),
    opened(2),
    revealed(2, 2),
    finalised(2),
)


class TestFinalRounds:
    def test_keep_the_attempts_apart(self):
        first, second = final_rounds(log(*TWO_ROUNDS))
        assert first.opened == opened(1, 1)
        assert first.reveals == (revealed(1, 1), revealed(1, 0))
        assert first.abandoned == (revealed(1, 0),)
        assert (second.reveals, second.abandoned) == ((revealed(2, 2),), ())

    def test_last_from_the_first_opening_to_the_result(self):
        first, second = final_rounds(log(*TWO_ROUNDS))
        assert (first.opened_at, first.finalised_at) == (20, 80)
        assert (second.opened_at, second.finalised_at) == (90, 110)

    @pytest.mark.parametrize("length", range(len(TWO_ROUNDS)))
    def test_of_a_log_that_breaks_off_are_those_that_are_whole(self, length):
        whole = list(final_rounds(log(*TWO_ROUNDS)))
        assert list(final_rounds(log(*TWO_ROUNDS[:length]))) == whole[: int(length >= 8)]

    def test_without_an_opening_are_left_out(self):
        entries = log(*TWO_ROUNDS)
        assert [one.finalised.round for one in final_rounds(entries[5:])] == [2]


class TestCurrentRound:
    def test_of_a_new_round_has_seen_nothing(self):
        current = attempts_of_current_round(log(*TWO_ROUNDS[:9]))
        assert (current.reveals, current.abandoned) == ((), ())

    def test_remembers_what_its_aborted_attempts_disclosed(self):
        current = attempts_of_current_round(
            log(*TWO_ROUNDS[:6], aborted(1, 1), opened(1, 2), revealed(1, 2))
        )
        assert current.reveals == (revealed(1, 2),)
        assert current.abandoned == (revealed(1, 0), revealed(1, 1))

    def test_reads_the_same_from_its_first_opening_on(self):
        entries = log(*TWO_ROUNDS[:6])
        assert attempts_of_current_round(entries[1:]) == attempts_of_current_round(entries)

    @pytest.mark.parametrize("length", [7, 10])
    def test_is_what_the_final_round_will_be(self, length):
        """Members attest to the one, the audit recomputes the other."""
        current = attempts_of_current_round(log(*TWO_ROUNDS[:length]))
        *_, final = final_rounds(log(*TWO_ROUNDS[: length + 1]))
        assert (current.reveals, current.abandoned) == (final.reveals, final.abandoned)


def test_the_members_are_those_of_the_opening():
    assert members_of(log(*TWO_ROUNDS)) == MEMBERS
    assert members_of(log(*TWO_ROUNDS[1:])) == ()


@pytest.mark.parametrize(
    ("bitmap", "members"),
    [(0, ()), (0b101, (MEMBERS[0], MEMBERS[2])), (0b111, MEMBERS), (1 << 95, ())],
)
def test_a_bitmap_stands_for_members_by_position(bitmap, members):
    assert members_in(MEMBERS, bitmap) == members
