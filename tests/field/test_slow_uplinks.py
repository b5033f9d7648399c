"""A member whose uplink does not make the reveal window: sealed and early it counts; else it says so and gives up."""

from __future__ import annotations

from pathlib import Path

import pytest
from chains import missing, start_chain
from sites import Site, light_manifest, members, open_site, undisturbed
from stores import missing_seaweedfs, start_seaweedfs
from weather import link

from chain.accounts import address_of
from chain.types import RoundFinalised

LACKING = missing("anvil") or missing_seaweedfs()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(LACKING), reason=LACKING)]
FUNDED = [address_of(signer) for signer in members(3)]
SLOW = 2
NUMBERS = 500_000
"""Of the model: an update has 2 MB, which take 8 s at 2 Mbit/s."""
UPLINK = {SLOW: link(up=2.0)}


def started(site: Site, trains: float, *words: object) -> None:
    """All three train; the slow member is done at once, as one with a fast GPU on a slow line."""
    for member in site.members:
        site.start(
            member.index, "--poll", "0.5", *words, data="0" if member.index == SLOW else str(trains)
        )


def included(site: Site) -> list[int]:
    events = [entry.event for entry in site.entries()]
    return [event.included for event in events if isinstance(event, RoundFinalised)]


def test_what_goes_early_is_there_when_it_is_revealed(tmp_path: Path) -> None:
    manifest = light_manifest(3, NUMBERS, count=2, reveal_window=6)
    with (
        start_chain("anvil", tmp_path, FUNDED) as chain,
        start_seaweedfs(tmp_path / "server") as store,
        open_site(tmp_path, chain, manifest, store, links=UPLINK) as site,
    ):
        started(site, 15)
        site.finish()
        assert included(site) == [0b111, 0b111]
        assert site.state().parent_digest == undisturbed(manifest)
        assert not site.audited().findings


def test_what_is_too_late_is_given_up_and_said_and_nobody_waits_longer_for_it(
    tmp_path: Path,
) -> None:
    manifest = light_manifest(
        3, NUMBERS, count=2, reveal_window=4, cohort_floor=2, cohort_fraction="1"
    )
    with (
        start_chain("anvil", tmp_path, FUNDED) as chain,
        start_seaweedfs(tmp_path / "server") as store,
        open_site(tmp_path, chain, manifest, store, links=UPLINK) as site,
    ):
        started(site, 0, "--no-early-upload")
        site.finish()
        assert included(site) == [0b011, 0b011]
        said = site.members[SLOW].events()
        (warning,) = [one for one in said if one["event"] == "slow uplink"]
        assert warning["seconds"] > warning["window"] == 4
        troubles = [one["error"] for one in said if one["event"] == "waiting"]
        assert "StoreSlow" in troubles
        assert not site.audited().findings
