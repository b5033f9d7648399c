"""A member whose uplink is slow: it says so, it makes nobody wait, and the others' training is its time to send."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from pathlib import Path

import obstore
import pytest
from chains import missing, start_chain
from promises import broken
from sites import Site, light_manifest, members, open_site, undisturbed, variables
from stores import missing_seaweedfs, start_seaweedfs
from weather import link

from chain.accounts import address_of
from chain.types import MembersMissed, RevealOpened, RoundFinalised, UpdateRevealed
from fl_node.blobs.store import Store, open_store

LACKING = missing("anvil") or missing_seaweedfs()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(LACKING), reason=LACKING or "all there")]
FUNDED = [address_of(signer) for signer in members(3)]
NUMBERS = 300_000  # 1.2 MB
SLOW = 2
"""The member with the slow line."""


def included(site: Site) -> list[int]:
    """The members of each final round, as a bitmap."""
    events = (entry.event for entry in site.entries())
    return [event.included for event in events if isinstance(event, RoundFinalised)]


def late_with_commitments(site: Site) -> list[MembersMissed]:
    """Who let a commit phase pass, as bitmaps."""
    events = [entry.event for entry in site.entries()]
    return [
        event
        for before, event in pairwise(events)
        if isinstance(event, MembersMissed)
        and not isinstance(before, UpdateRevealed | RevealOpened)
    ]


def test_an_uplink_that_cannot_make_the_window_is_told_and_given_up(tmp_path: Path) -> None:
    """0.4 Mbit/s need 24 s for the update, and the others are ready at once; the window is 12 s."""
    manifest = light_manifest(3, NUMBERS, count=2, commit_window=300, reveal_window=12)
    with (
        start_chain("anvil", tmp_path, FUNDED) as chain,
        start_seaweedfs(tmp_path / "server") as store,
        open_site(tmp_path, chain, manifest, store, {SLOW: link(up=0.4, down=100)}) as site,
    ):
        site.start_all("--poll", "0.2", "--no-early-upload")
        site.finish()
        said = site.members[SLOW].events()
        late, counted = late_with_commitments(site), included(site)
        report = site.audited()
        lost = broken(site.entries(), manifest.addresses, report, b"", site.state().parent_digest)
    (warning,) = (one for one in said if one["event"] == "slow uplink")
    assert warning["seconds"] > warning["window"] == 12
    assert warning["bytes"] > 4 * NUMBERS
    assert "StoreSlow" in [one["error"] for one in said if one["event"] == "waiting"]
    assert counted == [0b011] * 2
    assert not late, "nobody waited for an upload of the round before"
    assert not lost


def arrived(store: Store, count: int) -> bool:
    """Whether so many blobs as large as the model are in a store."""
    found = (one for page in obstore.list(store._place._reading) for one in page)
    return sum(one["size"] > 4 * NUMBERS for one in found) >= count


def test_what_is_sent_while_others_train_costs_no_window(tmp_path: Path) -> None:
    """0.5 Mbit/s need 19 s for the update and the window is 16 s, but the others train until it is there."""
    rounds, gate = 2, tmp_path / "gate"
    gate.touch()
    manifest = light_manifest(3, NUMBERS, count=rounds, commit_window=300, reveal_window=16)
    with (
        start_chain("anvil", tmp_path, FUNDED) as chain,
        start_seaweedfs(tmp_path / "server") as store,
        open_site(tmp_path, chain, manifest, store, {SLOW: link(up=0.5, down=100)}) as site,
    ):
        for index in range(3):
            site.start(index, data="0" if index == SLOW else f"until {gate}")
        with variables(store.env):
            blobs = open_store(store.location)
        for number in range(rounds):
            there = 1 + number * 4  # The genesis; of each round three updates and their aggregate.
            site.wait_for(partial(arrived, blobs, there + 1), "the slow member's update")
            gate.write_bytes(bytes(number + 1))
        site.finish()
        counted = included(site)
        digest = site.state().parent_digest
    assert counted == [0b111] * 2
    assert digest == undisturbed(manifest)
