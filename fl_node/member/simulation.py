"""The same federated training as a plain loop in one process, without a chain.

With the same manifest, seeds and data it gives the same final weights as the run on the chain, bit for bit, if both
train on CPUs with the same number of threads and the same version of torch. This shows that the ledger records the
training and changes nothing in it. GPUs do not repeat their own results, with or without a ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from itertools import repeat

from chain.history import cohort_seed, draw
from chain.types import BASIS_POINTS, Address, Reveal, UpdateRevealed, indices
from fl_node.arrays import Arrays
from fl_node.blobs.global_state import model_of
from fl_node.blobs.model import Model, encode_model, load_model
from fl_node.blobs.store import Store, open_store
from fl_node.history.past import PastRound
from fl_node.history.record import members_in, past_round
from fl_node.learner import Learner, StepProgress, no_progress
from fl_node.manifest.manifest import Manifest
from fl_node.round.aggregate import Aggregated, aggregate_round
from fl_node.round.contribute import Contribution, Received, UpdateId, contribute
from fl_node.round.published import Published, read_published


@dataclass(frozen=True, slots=True)
class SimulatedRound:
    """One round: its number, from 1; the updates sent; and the aggregate."""

    round: int
    reveals: tuple[UpdateRevealed, ...]
    aggregated: Aggregated


ProgressFor = Callable[[int, Address], StepProgress]
"""Gives the progress callback for a round and client."""


def simulate(
    manifest: Manifest,
    learners: Mapping[Address, Learner],
    genesis: Arrays,
    task: int = 1,
    progress_for: ProgressFor = lambda round, client: no_progress,
    executor: Executor | None = None,
) -> Iterator[SimulatedRound]:
    """Run every round of a manifest, yielding each when it is done.

    A round's members do not depend on each other, so an executor gives the same bytes as the plain loop.

    Args:
        manifest: The task.
        learners: One for each member.
        genesis: The model that round 1 starts from.
        task: The task's number in the ledger. It decides which members are drawn, if `cohort_fraction` is below 1:
            the same as on the chain, as long as no member is absent and no round is aborted there.
        progress_for: Gives the callback for each member's training steps.
        executor: Trains the members of a round, for example several at a time. If it uses other processes, learners
            and callbacks must be picklable. Default: this thread, one member after the other.
    """
    private: dict[Address, Arrays] = {}
    past: list[PastRound] = []
    previous: Arrays | None = None
    published: Published = {}
    blob = encode_model(genesis)
    for round in range(1, manifest.rounds.count + 1):
        store = open_store(
            "memory://"
        )  # A fresh store each round, so that memory does not fill up.
        parent_digest = store.put(blob)
        parent = load_model(store, parent_digest, manifest.limits.model_bytes)
        cohort = cohort_of(manifest, cohort_seed(parent_digest, task, round, attempt=0))
        ids = [UpdateId(task, round, client, parent_digest) for client in cohort]
        contributions = (map if executor is None else executor.map)(
            partial(contribute, manifest),
            ids,
            (learners[client] for client in cohort),
            repeat(Received(parent.arrays, previous, past, published)),
            [private.get(client) for client in cohort],
            (progress_for(round, client) for client in cohort),
        )
        reveals = []
        for update_id, contribution in zip(ids, contributions, strict=True):
            private[update_id.client] = contribution.private
            if contribution.blob is not None:
                digest = store.put(contribution.blob)
                reveals.append(_revealed(update_id, digest, contribution))
        aggregated = aggregate_round(store, manifest, parent, reveals)
        past.append(
            past_round(parent_digest, reveals, members_in(manifest.addresses, aggregated.included))
        )
        previous = model_of(parent.arrays) if aggregated.included else None
        if aggregated.included:
            published = _published(store, manifest, parent, reveals, aggregated.included)
        blob = aggregated.blob
        yield SimulatedRound(round, tuple(reveals), aggregated)


def cohort_of(manifest: Manifest, seed: bytes) -> list[Address]:
    """The cohort that the contract would draw if no member is absent, in ascending order of address."""
    members = manifest.addresses
    terms = manifest.terms()
    size = max(terms.cohort_floor, len(members) * terms.cohort_fraction // BASIS_POINTS)
    return [members[index] for index in indices(draw(seed, (1 << len(members)) - 1, size))]


def _published(
    store: Store,
    manifest: Manifest,
    parent: Model,
    reveals: Sequence[UpdateRevealed],
    included: int,
) -> Published:
    if not manifest.strategy.share.publish:
        return {}
    clients = members_in(manifest.addresses, included)
    counted = [revealed for revealed in reveals if revealed.client in clients]
    return read_published(store, manifest, parent.arrays, parent.digest, counted)


def _revealed(update_id: UpdateId, digest: bytes, contribution: Contribution) -> UpdateRevealed:
    opening = Reveal(
        update_digest=digest,
        num_examples=contribution.num_examples,
        training_loss=contribution.training_loss,
        held_out_loss=contribution.held_out_loss,
        salt=bytes(32),
    )
    return UpdateRevealed(update_id.task, update_id.round, update_id.client, opening)
