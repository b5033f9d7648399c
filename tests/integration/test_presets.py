"""Every preset: it runs, the plain loop agrees, the audit is clean and finds a flipped byte.

To a chain all presets are digests alike, so that most run on the ledger in memory, and one of each learner on a chain.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from running import TINY_GAN, Running, learner_of, tiny_manifest

from chain.types import RoundFinalised, RoundSkipped, UpdateRevealed
from fl_node.audit import AuditReport, audit
from fl_node.blobs.store import key_of
from fl_node.learning.task import derive_genesis
from fl_node.manifest.manifest import Manifest
from fl_node.member.simulation import simulate
from fl_node.strategy.presets import PRESETS

LEARNERS: dict[str, dict[str, Any]] = {
    "classifier": {"kind": "classifier", "width": 4, "batch": 16},
    "gan": TINY_GAN,
    "flow": {"kind": "flow", "width": 4, "batch": 8},
}
LEAST_UPDATES = {"cmfl": 1, "median": 3, "trimmed_mean": 5, "krum": 5, "multi_krum": 5}
RUNS = [f"{preset} classifier" for preset in sorted(PRESETS)] + [
    f"{preset} gan" for preset in ("fedper", "fedadam", "scaffold", "loadaboost", "sketched")
]
RUNS += [f"{preset} flow" for preset in ("fedper", "scaffold", "ditto", "two_stream", "loadaboost")]


def manifest_of(preset: str, learner: str) -> Manifest:
    """The preset as it stands, but for what a small task needs."""
    strategy: dict[str, Any] = {"preset": preset, "work": {"steps": 2}}
    least = LEAST_UPDATES.get(preset, 2)
    rounds = {"count": 3, "min_updates": least, "cohort_floor": max(2, least)}
    options = LEARNERS[learner]
    return tiny_manifest(max(3, least), learner=options, strategy=strategy, rounds=rounds)


def simulated(manifest: Manifest) -> list[bytes]:
    learners = {member: learner_of(manifest, member) for member in manifest.addresses}
    rounds = simulate(manifest, learners, derive_genesis(manifest))
    return [one.aggregated.digest for one in rounds]


def report_on(running: Running) -> AuditReport:
    return audit(running.ledger, running.store, running.task, derive_genesis=derive_genesis)


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS)
def test_a_preset_runs_repeats_itself_and_is_audited(
    start_in_memory: Callable[[Manifest], Running], run: str
) -> None:
    runs_repeats_itself_and_is_audited(start_in_memory, run)


@pytest.mark.slow
@pytest.mark.parametrize("run", ["trimmed_mean classifier", "scaffold gan", "fedprox flow"])
def test_a_preset_does_so_on_a_chain(start: Callable[[Manifest], Running], run: str) -> None:
    runs_repeats_itself_and_is_audited(start, run)


def runs_repeats_itself_and_is_audited(start: Callable[[Manifest], Running], run: str) -> None:
    manifest = manifest_of(*run.split())
    running = start(manifest)
    running.run()
    events = [entry.event for entry in running.ledger().history(running.task)]
    on_chain = [event.aggregate_digest for event in events if isinstance(event, RoundFinalised)]
    assert simulated(manifest) == on_chain
    assert report_on(running).verdict == "clean"

    (*_, revealed) = (event for event in events if isinstance(event, UpdateRevealed))
    flip_a_byte(running, revealed.reveal.update_digest)
    report = report_on(running)
    assert report.verdict == "findings"
    assert any(finding.client == revealed.client for finding in report.findings)


def flip_a_byte(running: Running, digest: bytes) -> None:
    path = running.folder / "store" / key_of(digest)
    blob = bytearray(path.read_bytes())
    blob[-1] ^= 1
    path.write_bytes(blob)


def test_a_member_whose_update_is_not_relevant_declines(
    start_in_memory: Callable[[Manifest], Running],
) -> None:
    strategy = {"send": {"kind": "relevance", "threshold": 1}, "work": {"steps": 1}}
    rounds = {"count": 3, "min_updates": 1}
    running = start_in_memory(
        tiny_manifest(learner=LEARNERS["classifier"], strategy=strategy, rounds=rounds)
    )
    running.run()
    events = [entry.event for entry in running.ledger().history(running.task)]
    declined = [event.round for event in events if isinstance(event, RoundSkipped)]
    finals = [event for event in events if isinstance(event, RoundFinalised)]
    assert declined == [2, 2, 2], "nothing points exactly where the model last went"
    assert finals[0].aggregate_digest == finals[1].aggregate_digest, "the round keeps its parent"
    assert finals[2].included == 0b111, "after a round in which nobody sent, everybody sends"
