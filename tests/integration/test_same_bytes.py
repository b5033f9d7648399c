"""The ledger changes nothing: the run on the chain and the plain loop give the same weights, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from running import TINY_GAN, Running, learner_of, tiny_manifest

from chain.types import RoundFinalised, RoundOpened
from fl_node.audit import audit
from fl_node.blobs.model import decode_model
from fl_node.history.record import members_in
from fl_node.learning.task import derive_genesis
from fl_node.manifest.manifest import Manifest
from fl_node.member.simulation import SimulatedRound, simulate


def simulated(manifest: Manifest, task: int = 1) -> list[SimulatedRound]:
    learners = {member: learner_of(manifest, member) for member in manifest.addresses}
    return list(simulate(manifest, learners, derive_genesis(manifest), task))


@pytest.mark.parametrize(
    ("norm", "strategy"),
    [("group", {"share": ["generator.*"]}), ("batch", {"preset": "fedavgm"})],
    ids=["generator", "both, with statistics and an average"],
)
@pytest.mark.slow
def test_the_chain_changes_no_bit(
    start: Callable[[Manifest], Running], norm: str, strategy: dict[str, Any]
) -> None:
    strategy = {**strategy, "work": {"steps": 2}}
    manifest = tiny_manifest(learner={**TINY_GAN, "norm": norm}, strategy=strategy)
    running = start(manifest)
    running.run()
    events = [entry.event for entry in running.ledger().history(running.task)]
    on_chain = [event.aggregate_digest for event in events if isinstance(event, RoundFinalised)]
    assert [one.aggregated.digest for one in simulated(manifest)] == on_chain


@pytest.mark.slow
def test_a_conditional_residual_gan_trains_on_a_chain_and_is_audited(
    start: Callable[[Manifest], Running],
) -> None:
    """Three members with different classes: the chain changes no bit, and the audit finds nothing."""
    conditional = {**TINY_GAN, "network": "residual", "norm": "none", "classes": 10}
    manifest = tiny_manifest(learner=conditional, strategy={"work": {"steps": 2}})
    running = start(manifest)
    final = running.run()
    assert simulated(manifest)[-1].aggregated.digest == final
    report = audit(running.ledger, running.store, running.task, derive_genesis=derive_genesis)
    assert report.verdict == "clean"


@pytest.mark.slow
def test_the_plain_loop_draws_the_chains_cohorts(start: Callable[[Manifest], Running]) -> None:
    terms: dict[str, Any] = {"count": 3, "cohort_fraction": "0.5", "cohort_floor": 2}
    share = {"average": ["generator*"], "publish": ["discriminator*"]}
    strategy = {
        "share": share,
        "work": {"steps": 2},
    }  # who trained last is whom others train against
    manifest = tiny_manifest(4, rounds=terms, strategy=strategy)
    running = start(manifest)
    final = running.run()
    events = [entry.event for entry in running.ledger().history(running.task)]
    openings = [event for event in events if isinstance(event, RoundOpened)]
    assert all(event.cohort.bit_count() == 2 for event in openings)
    rounds = simulated(manifest, running.task)
    drawn = [members_in(manifest.addresses, event.cohort) for event in openings]
    assert [tuple(r.client for r in one.reveals) for one in rounds] == drawn
    assert rounds[-1].aggregated.digest == final


@pytest.mark.slow
def test_a_schedule_is_the_same_on_a_ledger(
    start_in_memory: Callable[[Manifest], Running],
) -> None:
    falling = {**TINY_GAN, "generator_rate": [[1, "0.001"], [2, "0.0001"]]}
    scheduled, plain = tiny_manifest(learner=falling), tiny_manifest()
    digests = [one.aggregated.digest for one in simulated(scheduled)]
    assert digests[-1] == start_in_memory(scheduled).run()
    assert digests != [one.aggregated.digest for one in simulated(plain)]


@pytest.mark.slow
def test_a_simulation_repeats_itself() -> None:
    manifest = tiny_manifest()
    first, second = simulated(manifest), simulated(manifest)
    assert [one.aggregated.digest for one in first] == [one.aggregated.digest for one in second]


@pytest.mark.slow
def test_training_moves_every_shared_tensor() -> None:
    manifest = tiny_manifest()
    final = decode_model(simulated(manifest)[-1].aggregated.blob)
    genesis = derive_genesis(manifest)
    assert final.keys() == genesis.keys()
    assert all((final[name] != genesis[name]).any() for name in genesis)
