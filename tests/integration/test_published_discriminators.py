"""Three members keep their discriminators, show them, and train their generators against each other's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from running import TINY_GAN, Running, learner_of, tiny_manifest

from chain.types import RoundFinalised, UpdateRevealed
from fl_node.audit import audit
from fl_node.blobs.store import key_of
from fl_node.errors import ManifestInvalid
from fl_node.learning.task import derive_genesis
from fl_node.manifest.manifest import Manifest
from fl_node.member.simulation import simulate

SHARE = {"average": ["generator*"], "publish": ["discriminator*"]}


def manifest_of(share: Any, **learner: Any) -> Manifest:
    strategy = {"share": share, "work": {"steps": 2}}
    return tiny_manifest(learner={**TINY_GAN, **learner}, strategy=strategy, rounds={"count": 3})


def simulated(manifest: Manifest) -> list[bytes]:
    learners = {member: learner_of(manifest, member) for member in manifest.addresses}
    rounds = simulate(manifest, learners, derive_genesis(manifest))
    return [one.aggregated.digest for one in rounds]


@pytest.mark.slow
def test_the_chain_gives_the_simulations_bytes_and_the_audit_is_clean(
    start: Callable[[Manifest], Running],
) -> None:
    manifest = manifest_of(SHARE, norm="batch")
    running = start(manifest)
    running.run()
    events = [entry.event for entry in running.ledger().history(running.task)]
    on_chain = [event.aggregate_digest for event in events if isinstance(event, RoundFinalised)]
    assert simulated(manifest) == on_chain
    report = audit(running.ledger, running.store, running.task, derive_genesis=derive_genesis)
    assert report.verdict == "clean"


@pytest.mark.slow
def test_it_matters_from_the_second_round_on_that_discriminators_are_published() -> None:
    shown, kept = simulated(manifest_of(SHARE)), simulated(manifest_of(["generator*"]))
    assert len({*shown, *kept}) == 6, "the state has the published shapes, so that all differ"
    one_opponent = simulated(manifest_of({**SHARE, "opponents": 1}))
    assert one_opponent[0] == shown[0]
    assert one_opponent[1] != shown[1]


@pytest.mark.slow
def test_a_member_goes_on_when_an_opponents_blob_is_gone(
    start_in_memory: Callable[[Manifest], Running],
) -> None:
    running = start_in_memory(manifest_of(SHARE))
    with running.nodes() as nodes:
        while running.ledger().task_state(running.task).round == 1:
            for node in nodes:
                node.step()
        events = [entry.event for entry in running.ledger().history(running.task)]
        gone = next(event for event in events if isinstance(event, UpdateRevealed))
        (running.folder / "store" / key_of(gone.reveal.update_digest)).unlink()
        running.finish(nodes)


@pytest.mark.parametrize(
    ("share", "because"),
    [
        ({**SHARE, "average": ["generator*", "discriminator.to*"]}, "is averaged"),
        ({**SHARE, "publish": ["discriminator.to*"]}, "the only choice"),
        ({"average": ["generator.*"], "publish": ["generator_ema*"]}, "the only choice"),
        ({**SHARE, "publish": ["encoder*"]}, "matches no tensor"),
    ],
)
def test_only_a_whole_discriminator_that_is_not_averaged_can_be_published(
    share: dict[str, Any], because: str
) -> None:
    with pytest.raises(ManifestInvalid, match=because):
        derive_genesis(manifest_of(share))
