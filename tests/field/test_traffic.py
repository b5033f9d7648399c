"""What a round asks of an endpoint and of a line, and what an endpoint that refuses does to nodes and to an audit."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from chains import missing, start_chain
from sites import light_manifest, members, open_site, undisturbed
from stores import missing_seaweedfs, start_seaweedfs
from weather import Fault, Weather

from chain.accounts import address_of

LACKING = missing("anvil") or missing_seaweedfs()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(LACKING), reason=LACKING)]
FUNDED = [address_of(signer) for signer in members(3)]
ROUNDS, NUMBERS = 4, 250_000
SHARES = 3 * ROUNDS
CALM = 15
"""Seconds in which the task ends on a machine that has time for it."""
BAD = Weather(refused=0.2, cut_before=0.05, cut_after=0.05)


def test_a_calm_task_costs_little_and_its_audit_is_clean_behind_refusals_and_cuts(
    tmp_path: Path,
) -> None:
    manifest = light_manifest(3, NUMBERS, count=ROUNDS)
    with (
        start_chain("anvil", tmp_path, FUNDED) as chain,
        start_seaweedfs(tmp_path / "server") as store,
        open_site(tmp_path, chain, manifest, store) as site,
    ):
        began = time.monotonic()
        site.start_all("--poll", "1")
        site.finish()
        looks = 3 * max(0.0, time.monotonic() - began - CALM)
        requests = sum(member.chain.requests for member in site.members)
        stores = [member.store for member in site.members if member.store]
        moved = sum(one.sent + one.received for one in stores)
        doors = [site.proxies.to(one.url, weather=BAD) for one in (chain, store)]
        report = site.audited(doors[0].url, store.through(doors[1].url))
    assert (requests - looks) / SHARES <= 20, "a start is in it, looks at a busy machine are not"
    assert moved / SHARES <= 1.15 * 4 * 4 * NUMBERS, "update up, parent and two updates down"
    assert not report.findings
    assert report.final_digest == undisturbed(manifest).hex()
    assert all(door.faults.keys() > {Fault.NONE} for door in doors), "there was some weather"


def test_three_nodes_at_ten_requests_a_second_finish_a_round_in_twenty(tmp_path: Path) -> None:
    with (
        start_chain("anvil", tmp_path, FUNDED) as chain,
        open_site(tmp_path, chain, light_manifest(3, count=2)) as site,
    ):
        site.weather(Weather(rate=10))
        site.start_all("--poll", "1")
        site.finish()
        assert site.seconds_per_round() < 20
        assert site.state().parent_digest == undisturbed(site.manifest)
