"""A blob that is longer than a browser holds: the page hashes it as it arrives, and says that it read no more of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from asking import Page
from doubles import Federation, played_in, small_manifest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from looks import blobs_of, follow, look

from chain.types import Entry, UpdateRevealed
from fl_node.blobs.digest import digest_of

MANY = settings(
    deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    """Two rounds with a model that is longer than the manifest."""
    genesis = {"weight": np.zeros(1000, np.float32)}
    return played_in(tmp_path_factory.mktemp("large"), small_manifest(rounds={"count": 2}), genesis)


@pytest.fixture(scope="module")
def entries(played: Federation) -> list[Entry]:
    return list(played.ledger.history(played.task))


@pytest.fixture(scope="module")
def blobs(played: Federation) -> dict[str, str]:
    return blobs_of(played)


Say = Callable[[int, dict[str, str]], Any]


@pytest.fixture
def say(page: Page, played: Federation, entries: list[Entry]) -> Say:
    """What the page reports that holds at most so many bytes of a blob, of a store with these blobs."""

    def report(held: int, there: dict[str, str]) -> Any:
        (answer,) = follow(page, played, [look(played, entries, there)], held)
        return answer["report"]

    return report


def length_of_model(played: Federation, blobs: dict[str, str]) -> int:
    genesis = played.ledger.task_state(played.task).genesis_digest
    return len(blobs[genesis.hex()]) // 2


@MANY
@given(
    pieces=st.lists(st.binary(max_size=200), max_size=8),
    most=st.integers(0, 1000),
    held=st.integers(0, 1000),
)
def test_however_it_arrives_and_whatever_is_held_the_hash_is_the_same(
    page: Page, pieces: list[bytes], most: int, held: int
) -> None:
    whole = b"".join(pieces)
    size, digest, kept = page.ask("received", [piece.hex() for piece in pieces], most, held)
    if len(whole) > most:
        assert size > most and digest != digest_of(whole).hex() and kept is None
    else:
        assert (size, digest) == (len(whole), digest_of(whole).hex())
        assert kept == (whole.hex() if len(whole) <= held else None)


class TestAPageThatHoldsNoModel:
    @pytest.fixture
    def held(self, played: Federation, blobs: dict[str, str]) -> int:
        return length_of_model(played, blobs) - 1

    def test_says_what_it_did_not_check_and_checks_the_rest(
        self, say: Say, blobs: dict[str, str], held: int
    ) -> None:
        report = say(held, blobs)
        checked = {step for step, status in report["steps"].items() if status == "clean"}
        assert checked == {"A2", "A3", "A8"} and report["findings"] == []
        unread = f"a blob of {held + 1} bytes has its digest, but a page holds {held} at most"
        assert report["reasons"]["A4"] == [unread]
        assert report["reasons"]["A7"] == [f"round 1: {unread}", f"round 2: {unread}"]
        assert {report["steps"][step] for step in ("A4", "A5", "A6", "A7")} == {"not checked here"}

    @pytest.mark.parametrize(("content", "word"), [("00", "tampered"), (None, "missing")])
    def test_still_finds_an_update_that_is_not_the_recorded_one(
        self,
        say: Say,
        entries: list[Entry],
        blobs: dict[str, str],
        held: int,
        content: str | None,
        word: str,
    ) -> None:
        revealed = [one.event for one in entries if isinstance(one.event, UpdateRevealed)]
        update = next(one for one in revealed if one.round == 2)
        there = {**blobs, update.reveal.update_digest.hex(): content}
        there = {name: blob for name, blob in there.items() if blob is not None}
        (finding,) = say(held, there)["findings"]
        assert (finding["step"], finding["round"], finding["actual"]) == ("A5", 2, word)
        assert finding["client"] == update.client.lower()

    def test_still_finds_a_model_that_is_not_the_recorded_one(
        self, say: Say, played: Federation, blobs: dict[str, str], held: int
    ) -> None:
        last = played.ledger.task_state(played.task).parent_digest.hex()
        longer = blobs[last] + "00"  # Every byte arrives, and none is held.
        (finding,) = say(held, {**blobs, last: longer})["findings"]
        assert (finding["step"], finding["round"], finding["digest"]) == ("A7", 2, last)

    def test_with_one_byte_more_checks_all(self, say: Say, blobs: dict[str, str]) -> None:
        most = max(len(blob) // 2 for blob in blobs.values())
        assert {*say(most, blobs)["steps"].values()} == {"clean"}
