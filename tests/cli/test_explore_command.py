"""`ganchor explore`: what its page is told to show, and whom to trust."""

from __future__ import annotations

from typing import Any

import pytest
from commanding import Ganchor, Live

from fl_node.witness.keys import witness_key

ALICE, BOB = (str(witness_key(f"{name}/witness", bytes(32)).verifier) for name in ("alice", "bob"))


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the page's server would tell the page, instead of serving it."""
    told: list[Any] = []
    monkeypatch.setattr(
        "fl_node.explorer.serving.serve", lambda site, *rest: told.append(site.to_json())
    )
    return told


def test_the_keys_of_witnesses_stand_in_the_page(
    ganchor: Ganchor, live: Live, served: list[Any]
) -> None:
    trusting = ("--witness", ALICE, "--witness", f" {BOB}\n")
    assert ganchor("explore", "--task", live.finished, *trusting, *live.options).code == 0
    assert ganchor("export", "task.zip", "--task", live.finished, *live.options).code == 0
    assert ganchor("explore", "--bundle", "task.zip", *trusting).code == 0
    assert [site["witnesses"] for site in served] == [[ALICE, BOB]] * 2


def test_nobody_is_trusted_unasked(ganchor: Ganchor, live: Live, served: list[Any]) -> None:
    assert ganchor("explore", "--task", live.finished, *live.options).code == 0
    (site,) = served
    assert (site["task"], site["witnesses"]) == (live.finished, [])


def test_what_is_no_key_is_refused_before_anything_is_served(
    ganchor: Ganchor, live: Live, served: list[Any]
) -> None:
    outcome = ganchor("explore", "--witness", ALICE[:-4], *live.options)
    assert (outcome.code, outcome.out, served) == (2, "", [])
    assert outcome.err.startswith("error: --witness: expected a witness's key, NAME+ID+KEY")
    assert outcome.err.count("\n") == 1
