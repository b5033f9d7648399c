"""The page follows a log that grows: what it says at each look is what a fresh page would say."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from asking import Page
from doubles import Federation, federation_in, run, small_manifest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from looks import blobs_of, follow, look

from chain.types import AggregateAttested, Entry, RoundFinalised, UpdateRevealed

ROUNDS = 3
ENOUGH = settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    """A finished task of three members and three rounds."""
    folder = tmp_path_factory.mktemp("following")
    federation = federation_in(folder, small_manifest(rounds={"count": ROUNDS}))
    run(federation)
    return federation


@pytest.fixture(scope="module")
def entries(played: Federation) -> list[Entry]:
    return list(played.ledger.history(played.task))


@pytest.fixture(scope="module")
def blobs(played: Federation) -> dict[str, str]:
    return blobs_of(played)


def ends_of_blocks(entries: list[Entry]) -> list[int]:
    """How many entries there are after each block."""
    pairs = enumerate(pairwise(entries), 1)
    ends = [count for count, (one, other) in pairs if one.block_number != other.block_number]
    return [*ends, len(entries)]


def ends_of_rounds(entries: list[Entry]) -> list[int]:
    """How many entries there are after the block in which each round became final."""
    final = [i for i, entry in enumerate(entries) if isinstance(entry.event, RoundFinalised)]
    return [next(end for end in ends_of_blocks(entries) if end > i) for i in final]


def test_an_honest_log_is_clean(
    page: Page, played: Federation, entries: list[Entry], blobs: dict[str, str]
) -> None:
    (answer,) = follow(page, played, [look(played, entries, blobs)])
    assert set(answer["report"]["steps"].values()) == {"clean"}
    assert len(answer["report"]["rounds"]) == ROUNDS


@ENOUGH
@given(data=st.data())
def test_after_each_look_the_report_is_that_of_a_fresh_page(
    page: Page, played: Federation, entries: list[Entry], blobs: dict[str, str], data: st.DataObject
) -> None:
    """Whatever is missing or altered, and whenever somebody looks."""
    ends = data.draw(st.lists(st.sampled_from(ends_of_blocks(entries)), min_size=1, unique=True))
    spoilt = data.draw(st.sets(st.sampled_from(sorted(blobs)), max_size=2))
    there = {name: "00" if name in spoilt else blob for name, blob in blobs.items()}
    looks = [look(played, entries[:end], there) for end in sorted(ends)]
    followed = follow(page, played, looks)
    for one, answer in zip(looks, followed, strict=True):
        assert answer["report"] == follow(page, played, [one])[0]["report"]
    heads = [head for answer in followed for head in answer["news"]["heads"]]
    assert len(heads) == len(set(heads)) == 1 + max(ends)
    assert heads[-1] == looks[-1]["view"]["historyHead"]


def test_what_was_verified_is_not_read_again(
    page: Page, played: Federation, entries: list[Entry], blobs: dict[str, str]
) -> None:
    ends = ends_of_rounds(entries)
    answers = follow(page, played, [look(played, entries[:end], blobs) for end in ends])
    updates = [
        (entry.event.round, entry.event.reveal.update_digest.hex())
        for entry in entries
        if isinstance(entry.event, UpdateRevealed)
    ]
    for number, answer in enumerate(answers, 1):
        asked = {digest for _, digest in updates} & set(answer["fetched"])
        assert asked == {digest for round, digest in updates if round == number}


def test_between_two_final_rounds_nothing_is_read_from_the_store(
    page: Page, played: Federation, entries: list[Entry], blobs: dict[str, str]
) -> None:
    first = ends_of_rounds(entries)[0]
    then = next(end for end in ends_of_blocks(entries) if end > first)
    looks = [look(played, entries[:end], blobs) for end in (first, then)]
    assert follow(page, played, looks)[1]["fetched"] == []


def test_a_blob_that_turns_up_mends_its_round(
    page: Page, played: Federation, entries: list[Entry], blobs: dict[str, str]
) -> None:
    first, second, _ = ends_of_rounds(entries)
    update = next(one.event for one in entries if isinstance(one.event, UpdateRevealed))
    without = {n: b for n, b in blobs.items() if n != update.reveal.update_digest.hex()}
    looks = [look(played, entries[:first], without), look(played, entries[:second], blobs)]
    before, after = follow(page, played, looks)
    assert before["report"]["steps"]["A5"] == "findings"
    assert after["report"]["findings"] == []


def test_only_the_round_that_is_not_settled_is_read_again(
    page: Page, played: Federation, entries: list[Entry], blobs: dict[str, str]
) -> None:
    final = [one.event for one in entries if isinstance(one.event, RoundFinalised)]
    late = final[1].aggregate_digest.hex()
    without = {name: blob for name, blob in blobs.items() if name != late}
    there = [without, without, blobs, blobs]
    looks = follow(page, played, [look(played, entries, held) for held in there])
    needed = {late, final[0].aggregate_digest.hex()} | {
        one.event.reveal.update_digest.hex()
        for one in entries
        if isinstance(one.event, UpdateRevealed) and one.event.round == 2
    }
    assert [answer["settled"] for answer in looks] == [False, False, True, True]
    assert [set(answer["fetched"]) for answer in looks[1:]] == [needed, needed, set()]
    assert looks[0]["report"] == looks[1]["report"]
    assert looks[2]["report"] == follow(page, played, [look(played, entries, blobs)])[0]["report"]


@pytest.mark.parametrize("missing", ["manifest_digest", "genesis_digest"])
def test_what_no_round_can_do_without_is_looked_for_again(
    page: Page, played: Federation, entries: list[Entry], blobs: dict[str, str], missing: str
) -> None:
    late = getattr(entries[0].event, missing).hex()
    without = {name: blob for name, blob in blobs.items() if name != late}
    before, after = follow(page, played, [look(played, entries, held) for held in (without, blobs)])
    assert (before["settled"], after["settled"]) == (False, True)
    assert set(after["report"]["steps"].values()) == {"clean"}


def test_a_log_without_a_final_round_leaves_nothing_to_wait_for(
    page: Page, played: Federation, entries: list[Entry], blobs: dict[str, str]
) -> None:
    (answer,) = follow(page, played, [look(played, entries[:1], blobs)])
    assert answer["settled"]


@pytest.mark.parametrize("takes", [0, 7_000])
def test_what_stays_missing_is_looked_for_ever_more_rarely_and_then_no_more(
    page: Page, takes: int
) -> None:
    looks = page.ask("patience", takes, None)
    pauses = [other - one - takes for one, other in pairwise(looks)]
    assert pauses == [2_000 * 2**i for i in range(8)]


@pytest.mark.parametrize("found", [1, 2, 5])
def test_what_turns_up_is_looked_for_no_more(page: Page, found: int) -> None:
    assert len(page.ask("patience", 0, found)) == found


def test_an_earlier_event_that_changes_begins_a_new_history(
    page: Page, played: Federation, entries: list[Entry], blobs: dict[str, str]
) -> None:
    """A reorganisation: the log was honest before, and is honest after it."""
    end = ends_of_rounds(entries)[0]
    last = entries[end - 1]
    moved = replace(last, timestamp=last.timestamp + 1, block_number=last.block_number + 1)
    others = [*entries[: end - 1], moved]
    shorter = entries[: ends_of_blocks(entries)[3]]
    looks = [look(played, one, blobs) for one in (entries[:end], shorter, others)]
    grown, cut, again = follow(page, played, looks)
    assert grown["news"]["changed"] is None
    assert (cut["news"]["at"], cut["news"]["changed"]) == (0, len(shorter))
    assert cut["news"]["count"] == len(shorter)
    assert (again["news"]["at"], again["news"]["changed"]) == (len(shorter), None)
    for one, answer in zip(looks, (grown, cut, again), strict=True):
        assert answer["report"] == follow(page, played, [one])[0]["report"]


def test_a_log_that_does_not_give_the_head_is_asked_for_again_before_anybody_is_blamed(
    page: Page, played: Federation, entries: list[Entry], blobs: dict[str, str]
) -> None:
    attested = next(i for i, one in enumerate(entries) if isinstance(one.event, AggregateAttested))
    hidden = entries[:attested] + entries[attested + 1 :]
    looks = [
        look(played, entries, blobs, shown=hidden),
        look(played, entries, blobs, shown=hidden, insist=True),
        look(played, entries, blobs),
    ]
    doubted, blamed, honest = follow(page, played, looks)
    assert doubted["news"] is None
    assert blamed["report"]["steps"]["A2"] == "findings"
    assert honest["news"]["changed"] == attested
    assert honest["report"]["findings"] == []


def test_an_event_that_is_told_twice_is_found(
    page: Page, played: Federation, entries: list[Entry], blobs: dict[str, str]
) -> None:
    end = ends_of_blocks(entries)[-2]
    repeated = [*entries, replace(entries[-1], log_index=entries[-1].log_index + 1)]
    looks = [
        look(played, entries[:end], blobs),
        look(played, entries, blobs, shown=repeated, insist=True),
    ]
    assert follow(page, played, looks)[1]["report"]["steps"]["A2"] == "findings"


@pytest.mark.parametrize(
    ("looks", "ahead"),
    [
        ([(7, 1_000, 1_000)], [0]),
        ([(7, 100, 1_000)], [0]),  # an old block: nobody has written since
        ([(7, 1_060, 1_000)], [60]),
        ([(7, 100, 1_000), (7, 100, 1_002), (8, 950, 1_004)], [0, 0, -54]),
        ([(7, 100, 1_000), (8, 1_062, 1_002), (8, 1_062, 1_004)], [0, 60, 60]),
    ],
)
def test_new_blocks_tell_the_time_of_the_chain(
    page: Page, looks: list[tuple[int, int, int]], ahead: list[int]
) -> None:
    assert page.ask("clock", looks) == ahead
