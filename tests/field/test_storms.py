"""Two storms with fixed seeds: every promise of docs/reliability.md holds. `scripts/hammer.py` goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
from chains import missing, start_chain
from sites import light_manifest, members, open_site
from stores import missing_seaweedfs, start_seaweedfs
from storms import Storm

from chain.accounts import address_of

pytestmark = pytest.mark.slow
NUMBERS = 50_000
FUNDED = [address_of(signer) for signer in members(3)]
WINDOWS = {"commit_window": 600, "reveal_window": 600, "attest_window": 600}
"""Nobody is left out, whatever happens; so the digest is the undisturbed one."""


def test_a_storm_over_the_devnet_and_a_folder(tmp_path: Path) -> None:
    manifest = light_manifest(3, NUMBERS, **WINDOWS)
    with (
        start_chain("devnet", tmp_path, FUNDED) as chain,
        open_site(tmp_path, chain, manifest, seed=1) as site,
    ):
        site.start_all(data="0.2")
        report = Storm(site, seed=1).rage(20)
    assert report.whole
    assert not report.broken, report


def test_a_storm_over_anvil_and_an_object_store(tmp_path: Path) -> None:
    if reason := missing("anvil") or missing_seaweedfs():
        pytest.skip(reason)
    manifest = light_manifest(3, NUMBERS, **WINDOWS)
    with (
        start_chain("anvil", tmp_path, FUNDED) as chain,
        start_seaweedfs(tmp_path / "server") as store,
        open_site(tmp_path, chain, manifest, store, seed=2) as site,
    ):
        site.start_all(data="0.2")
        report = Storm(site, seed=2).rage(20)
    assert report.whole
    assert not report.broken, report
