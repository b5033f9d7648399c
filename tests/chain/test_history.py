"""Commitments, cohorts and heads, as arithmetic: golden vectors and laws."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from chain.history import (
    ARGUMENTS,
    EVENTS,
    TOPICS,
    commitment_of,
    draw,
    event_from_abi,
    first_head,
    fold,
    head_of,
    log_to,
    topic0,
)
from chain.types import Address, Entry, MembersMissed, Reveal, RoundSkipped, TaskOpened, Terms

CONTRACT = Address("0x00000000000000000000000000000000000000C0")
MEMBER = Address("0x0000000000000000000000000000000000000001")
OPENING = Reveal(bytes(32), 5, -1, 2, bytes([7]) * 32)
SEED = st.binary(min_size=32, max_size=32)
BITMAP = st.integers(0, 2**96 - 1)


def test_every_event_has_a_topic_of_its_own() -> None:
    assert len(TOPICS) == len(ARGUMENTS) == len(EVENTS)


def test_a_topic_is_the_keccak_of_the_signature() -> None:
    expected = "4a31eb4c2e735f3c89e7287564da0f0fb856892ca01a145aa839c2222b2ecc32"
    assert topic0(RoundSkipped).hex() == expected


def test_golden_head_and_commitment() -> None:
    head = first_head(1337, CONTRACT, 1)
    assert head.hex() == "15489141634555ae8431218fb289c97ccf29e6e562e64cadbb24b3d628dd8bd4"
    assert (
        fold(head, RoundSkipped(1, 1, MEMBER)).hex()
        == "c0f159d77b3c48b62d544c85bd6fb45722fe2307071907d39e9636a52dfde832"
    )
    commitment = commitment_of(1337, CONTRACT, 1, 1, MEMBER, OPENING)
    assert commitment.hex() == "186e98fd857dd9ed125e1ea74584316fdbc5a1a5d61c8c336b1925bf916fca83"


def test_a_head_depends_on_every_event_and_on_their_order() -> None:
    one, two = RoundSkipped(1, 1, MEMBER), MembersMissed(1, 1, 1)
    head = first_head(1, CONTRACT, 1)
    heads = [fold(fold(head, one), two), fold(fold(head, two), one), fold(head, one)]
    heads.append(fold(fold(head, one), replace(two, missed=2)))
    assert len(set(heads)) == 4


def test_a_log_is_read_up_to_a_head_and_no_further() -> None:
    log = [Entry(RoundSkipped(1, round, MEMBER), 1, round, 0) for round in (1, 2, 3)]
    head, rest = head_of(1, CONTRACT, 1, log[:2]), iter(log)
    assert log_to(head, 1, CONTRACT, 1, rest) == log[:2]
    assert next(rest) == log[2]
    assert log_to(head, 1, CONTRACT, 1, log[1:]) is None


def test_events_are_built_from_abi_values() -> None:
    terms = (1, 2, 3, 4, 5, 6, 7, 8)
    event = event_from_abi(TaskOpened, [1, MEMBER, bytes(32), bytes(32), [MEMBER], terms])
    assert event == TaskOpened(1, MEMBER, bytes(32), bytes(32), (MEMBER,), Terms(*terms))


@given(SEED, BITMAP, st.integers(0, 96))
def test_a_draw_takes_as_many_as_asked_from_the_candidates(
    seed: bytes, candidates: int, size: int
) -> None:
    drawn = draw(seed, candidates, size)
    assert drawn & ~candidates == 0
    assert drawn.bit_count() == min(size, candidates.bit_count())


@given(SEED, BITMAP)
def test_a_larger_draw_holds_the_smaller(seed: bytes, candidates: int) -> None:
    smaller, larger = draw(seed, candidates, 10), draw(seed, candidates, 20)
    assert smaller & ~larger == 0


def test_everyone_is_drawn_about_equally_often() -> None:
    counts = [0] * 10
    for i in range(1_000):
        cohort = draw(i.to_bytes(32, "big"), 2**10 - 1, 3)
        counts = [count + (cohort >> k & 1) for k, count in enumerate(counts)]
    assert all(240 < count < 360 for count in counts)  # 300 expected, 14.5 standard deviation
