"""A running Flower federation with a ledger: real processes over TLS, killed for real; and Flower's simulation."""

from __future__ import annotations

from pathlib import Path

import pytest
from flower_site import FlowerSite, flower_site

from chain.types import Phase

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


def verify_clean(site: FlowerSite, rounds: int) -> None:
    report = site.audited()
    assert not report.findings and report.reasons.keys() == {"A9"}
    assert len(report.rounds) == rounds


def finished(site: FlowerSite) -> bool:
    return site.state().phase is Phase.FINISHED


def test_a_federation_goes_on_after_its_link_and_a_node_were_killed(tmp_path: Path) -> None:
    """Over TLS. The round before anything is killed has every update."""
    windows = {"commit_window": 3600, "reveal_window": 3600, "attest_window": 3600}
    with flower_site(tmp_path, count=3, **windows) as site:
        site.start_link()
        for index in range(3):
            site.start_node(index)
        site.open_task()
        site.run(rounds=20)
        site.wait_for("second round", lambda: site.state().round > 1)
        assert len(site.audited().rounds[0].updates) == 3
        site.kill("link")
        site.start_link()
        site.run(rounds=20)
        site.wait_for("third round", lambda: site.state().round > 2, after_kill=True)
        site.kill("node-2")
        site.start_node(2)
        site.wait_for("end of the task", lambda: finished(site), after_kill=True)
        verify_clean(site, 3)


def test_a_simulation_ends_in_a_clean_audit(tmp_path: Path) -> None:
    with flower_site(tmp_path) as site:
        site.open_task()
        site.simulate()
        assert finished(site)
        verify_clean(site, 2)
