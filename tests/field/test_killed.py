"""Real processes, killed for real: the history goes on, and ends where an undisturbed one ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from chains import start_chain
from sites import Site, light_manifest, members, open_site, undisturbed

from chain.accounts import address_of

pytestmark = pytest.mark.slow
FUNDED = [address_of(signer) for signer in members(3)]
MANIFEST = light_manifest(3)
KILLS = [
    *((0, "training", 1), (1, "commit", 1), (2, "reveal", 1)),
    *((2, "training", None), (0, "commit", 2), (1, "reveal", 2)),
]
"""Node, event, and how often the node must have said it; None: once more than when it was killed last."""


def finish_as_if_nothing_had_been(site: Site) -> None:
    site.finish()
    assert site.state().parent_digest == undisturbed(MANIFEST)
    assert not site.audited().findings


def test_nodes_killed_at_any_point_again_and_again_end_with_the_same_model(tmp_path: Path) -> None:
    with (
        start_chain("devnet", tmp_path, FUNDED) as chain,
        open_site(tmp_path, chain, MANIFEST) as site,
    ):
        site.start_all(data="0.3")
        before = 0
        for index, event, times in KILLS:
            victim, least = site.members[index], before + 1 if times is None else times
            site.wait_for(
                lambda victim=victim, event=event, least=least: victim.said(event) >= least,
                f"{event} of node {index}",
                poll=0.02,
            )
            victim.kill()
            before = victim.said("training")
            site.start(index, data="0.3")
        finish_as_if_nothing_had_been(site)


def test_the_chain_killed_and_started_again(tmp_path: Path) -> None:
    with (
        start_chain("devnet", tmp_path, FUNDED) as chain,
        open_site(tmp_path, chain, MANIFEST) as site,
    ):
        site.start_all(data="0.3")
        first = site.members[0]
        site.wait_for(lambda: first.said("commit") > 0, "a commitment", poll=0.02)
        chain.kill()
        site.wait_for(lambda: first.said("waiting") > 0, "a wait for the chain", poll=0.02)
        chain.start()
        finish_as_if_nothing_had_been(site)
