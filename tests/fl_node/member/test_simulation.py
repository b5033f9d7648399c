"""The plain loop: the contract's cohorts, each member's own memory, and no chain."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest
from doubles import Clock, DriftingLearner, small_genesis, small_manifest

from chain.history import cohort_seed
from chain.memory_ledger import MemoryLedger
from chain.types import Address, RoundOpened
from fl_node.blobs.digest import digest_of
from fl_node.blobs.model import encode_model
from fl_node.errors import BlobOversized
from fl_node.history.record import members_in
from fl_node.member.simulation import SimulatedRound, cohort_of, simulate

MEMBERS = tuple(Address(f"0x{number:040x}") for number in range(1, 11))
DIGESTS = [hashlib.sha256(bytes([number])).digest() for number in range(8)]


def manifest_of(count: int = 10, rounds: int = 4, **terms: Any):
    return small_manifest(MEMBERS[:count], rounds={"count": rounds, **terms})


@pytest.mark.parametrize("genesis", DIGESTS, ids=lambda digest: digest.hex()[:4])
@pytest.mark.parametrize(
    ("count", "terms"),
    [
        (10, {}),
        (10, {"cohort_fraction": "0.3"}),
        (10, {"cohort_fraction": "0.01", "cohort_floor": 4}),
        (7, {"cohort_fraction": "0.5"}),
        (1, {"cohort_floor": 1, "min_updates": 1}),
    ],
)
def test_the_cohort_is_the_one_that_the_contract_draws(count, terms, genesis):
    manifest = manifest_of(count, **terms)
    ledger = MemoryLedger(clock=Clock())
    receipt = ledger.open_task(bytes([1]) * 32, genesis, manifest.addresses, manifest.terms())
    (opening,) = (e.event for e in receipt.entries if isinstance(e.event, RoundOpened))
    drawn = cohort_of(manifest, cohort_seed(genesis, 1, 1, 0))
    assert drawn == list(members_in(manifest.addresses, opening.cohort))


def run(manifest, task: int = 1, executor: Executor | None = None) -> list[SimulatedRound]:
    learners = {m: DriftingLearner(at + 1) for at, m in enumerate(manifest.addresses)}
    return list(simulate(manifest, learners, small_genesis(), task, executor=executor))


class Backwards(Executor):
    """Trains the last member first."""

    def map(self, function: Callable[..., Any], *arguments: Any, **_: Any) -> Iterator[Any]:
        calls = list(zip(*arguments, strict=False))
        return reversed([function(*call) for call in reversed(calls)])


def spawned() -> Executor:
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


@pytest.mark.parametrize(
    "make",
    [Backwards, lambda: ThreadPoolExecutor(3), pytest.param(spawned, marks=pytest.mark.slow)],
    ids=["backwards", "threads", "processes"],
)
@pytest.mark.parametrize(
    "strategy",
    ["fedavg", {"work": {"epochs": 1, "until": "median_loss", "loss": "held_out"}}],
    ids=["fedavg", "median_loss"],
)
def test_members_that_train_in_any_order_or_at_once_give_the_same_bytes(make, strategy):
    rounds = {"count": 3, "cohort_fraction": "0.5", "cohort_floor": 3}
    manifest = small_manifest(MEMBERS[:6], rounds=rounds, strategy=strategy)
    with make() as executor:
        assert run(manifest, executor=executor) == run(manifest)


def test_a_member_that_sits_a_round_out_goes_on_from_what_it_kept():
    manifest = manifest_of(4, rounds=4, cohort_fraction="0.5")
    trained = dict.fromkeys(manifest.addresses, 0)
    parent = digest_of(encode_model(small_genesis()))
    for one in run(manifest):
        drawn = cohort_of(manifest, cohort_seed(parent, 1, one.round, 0))
        assert [revealed.client for revealed in one.reveals] == drawn
        parent = one.aggregated.digest
        for revealed in one.reveals:
            trained[revealed.client] += 1
            # This learner's loss says in how many rounds it has trained.
            assert revealed.reveal.training_loss == round(1_000_000 / trained[revealed.client])
    assert len(set(trained.values())) > 1, "somebody sat out more often than others"


def test_the_cohorts_follow_from_the_models_and_the_tasks_number():
    manifest = manifest_of(6, rounds=6, cohort_fraction="0.4")
    first, second, other = (
        [tuple(r.client for r in one.reveals) for one in run(manifest, task)] for task in (1, 1, 2)
    )
    assert first == second
    assert first != other
    assert len(set(first)) > 1


def test_each_round_starts_from_the_last():
    manifest = manifest_of(2, rounds=3)
    assert len({one.aggregated.digest for one in run(manifest)}) == 3
    assert run(manifest)[:2] == run(manifest_of(2, rounds=2))


def test_after_a_round_in_which_nobody_sent_everybody_sends():
    """With a threshold of 1 hardly any update is relevant."""
    send = {"kind": "relevance", "threshold": 1}
    manifest = small_manifest(
        MEMBERS[:3], rounds={"count": 8, "min_updates": 1}, strategy={"send": send}
    )
    included = [one.aggregated.included for one in run(manifest)]
    after_silence = [after for before, after in pairwise(included) if not before]
    assert len(after_silence) >= 2 and set(after_silence) == {0b111}


def test_progress_is_asked_for_by_round_and_client():
    manifest, asked = manifest_of(2, rounds=2), []

    def progress_for(round, client):
        asked.append((round, client))
        return lambda step, steps, losses: None

    learners = {m: DriftingLearner(1) for m in manifest.addresses}
    list(simulate(manifest, learners, small_genesis(), progress_for=progress_for))
    assert asked == [(round, member) for round in (1, 2) for member in manifest.addresses]


def test_a_model_above_its_limit_is_refused_as_on_chain():
    size = len(encode_model(small_genesis()))
    manifest = small_manifest(limits={"model_bytes": size - 1})
    with pytest.raises(BlobOversized, match=f"{size} bytes"):
        run(manifest)
