"""What members publish: it is in the update, outside of everything that is combined, and read by the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from doubles import DriftingLearner, small_manifest
from hypothesis import given
from hypothesis import strategies as st

from chain.types import Address, Reveal, UpdateRevealed
from fl_node.arrays import Arrays
from fl_node.blobs.digest import digest_of
from fl_node.blobs.encoding import decode_update, encode_update
from fl_node.blobs.global_state import FLOAT32, first_state
from fl_node.blobs.model import decode_model, encode_model, load_model
from fl_node.blobs.store import Store, open_store
from fl_node.blobs.tensors import Spec, schema_of
from fl_node.errors import BlobOversized, UpdateInvalid
from fl_node.learner import Assignment, Trained
from fl_node.member.simulation import simulate
from fl_node.round.aggregate import Aggregated, aggregate_round
from fl_node.round.contribute import Received, UpdateId, contribute
from fl_node.round.published import draw_opponents, read_published

MANIFEST = small_manifest(
    strategy={"share": {"average": ["generator*"], "publish": ["discriminator*"]}}
)
A, B, C = MANIFEST.addresses
MODEL = {"generator.weight": np.zeros((2, 3), np.float32)}
OWN = {"discriminator.weight": np.zeros((4, 1), np.float32)}
STATE = first_state(MODEL, (), published=schema_of(OWN))


@dataclass
class Publishing(DriftingLearner):
    """Has a network of its own, which becomes the member's number, and remembers its opponents."""

    met: tuple[Arrays, ...] = ()

    def train(self, assignment: Assignment, *arguments: Any) -> Trained:
        self.met = assignment.opponents
        trained = super().train(assignment, *arguments)
        own = {"discriminator.weight": np.full((4, 1), self.data, np.float32)}
        return replace(trained, private={**trained.private, **own})


def update_of(client: Address, learner: DriftingLearner, parent: bytes = bytes(32)) -> bytes:
    place = UpdateId(1, 1, client, parent)
    blob = contribute(MANIFEST, place, learner, Received(STATE), None).blob
    assert blob is not None
    return blob


def revealed(store: Store, client: Address, blob: bytes) -> UpdateRevealed:
    examples = decode_update(blob).header.num_examples
    return UpdateRevealed(1, 1, client, Reveal(store.put(blob), examples, 0, 0, bytes(32)))


@pytest.fixture
def store(tmp_path) -> Store:
    return open_store(tmp_path)


def aggregate(store: Store, *blobs: bytes) -> Aggregated:
    parent = load_model(store, store.put(encode_model(STATE)), 1 << 20)
    clients = MANIFEST.addresses
    reveals = [revealed(store, *pair) for pair in zip(clients, blobs, strict=False)]
    return aggregate_round(store, MANIFEST, parent, reveals)


PARENT = digest_of(encode_model(STATE))


def altered(blob: bytes, **arrays: Any) -> bytes:
    update = decode_update(blob)
    changed = {name.replace("_", "."): array for name, array in arrays.items()}
    return encode_update(update.header, {**update.arrays, **changed})


def test_an_update_shows_the_members_own_network_as_it_is():
    arrays = decode_update(update_of(B, Publishing(7))).arrays
    assert arrays.keys() == {"generator.weight", "published.discriminator.weight"}
    assert arrays["published.discriminator.weight"].tolist() == [[7]] * 4


def test_what_is_published_is_not_combined_and_its_shape_stays(store):
    result = aggregate(
        store, *(update_of(one, Publishing(n), PARENT) for n, one in [(1, A), (2, B)])
    )
    assert result.included == 0b11
    state = decode_model(result.blob)
    assert state.keys() == {"generator.weight", "server.published.discriminator.weight"}
    assert state["server.published.discriminator.weight"].tolist() == [4, 1]


@pytest.mark.parametrize(
    ("rule", "array"),
    [
        ("finite", np.full((4, 1), np.nan, np.float32)),
        ("finite", np.full((4, 1), np.inf, np.float32)),
        ("tensors", np.zeros((1, 4), np.float32)),
    ],
)
def test_what_is_published_must_be_finite_and_of_its_shape(store, rule, array):
    bad = altered(update_of(A, Publishing(1), PARENT), published_discriminator_weight=array)
    result = aggregate(store, bad, update_of(B, Publishing(2), PARENT))
    fault = result.left_out[A]
    assert isinstance(fault, UpdateInvalid)
    assert fault.rule == rule


def test_the_norm_limit_is_not_for_what_is_published(store):
    large = np.full((4, 1), 1e30, np.float32)
    blob = altered(update_of(A, Publishing(1), PARENT), published_discriminator_weight=large)
    assert aggregate(store, blob, update_of(B, Publishing(2), PARENT)).included == 0b11


def test_a_genesis_that_claims_endless_shapes_makes_nobody_read_without_end(store):
    endless = first_state(MODEL, (), published={"discriminator.weight": Spec((1 << 50,), FLOAT32)})
    parent = load_model(store, store.put(encode_model(endless)), 1 << 20)
    long = encode_model({"x": np.zeros(1 << 12, np.float32)})
    limited = small_manifest(
        strategy={"share": {"average": ["generator*"], "publish": ["discriminator*"]}},
        limits={"model_bytes": 1 << 12},
    )
    examples = UpdateRevealed(1, 1, A, Reveal(store.put(long), 10, 0, 0, bytes(32)))
    assert isinstance(
        aggregate_round(store, limited, parent, [examples]).left_out[A], BlobOversized
    )


def test_what_the_others_published_is_read_and_what_is_missing_passed_over(store):
    parent = store.put(encode_model(STATE))
    reveals = [
        revealed(store, client, update_of(client, Publishing(number), parent))
        for number, client in enumerate(MANIFEST.addresses, 1)
    ]
    missing = replace(reveals[1], reveal=replace(reveals[1].reveal, update_digest=bytes(32)))
    found = read_published(store, MANIFEST, STATE, parent, [reveals[0], missing, reveals[2]])
    assert {client: arrays["discriminator.weight"][0, 0] for client, arrays in found.items()} == {
        A: 1,
        C: 3,
    }


def test_members_train_against_the_last_rounds_networks_of_the_others():
    learners = {client: Publishing(n) for n, client in enumerate(MANIFEST.addresses, 1)}
    rounds = simulate(MANIFEST, learners, STATE)
    next(rounds)
    assert [learner.met for learner in learners.values()] == [(), (), ()]
    next(rounds)
    for number, learner in enumerate(learners.values(), 1):
        assert {int(one["discriminator.weight"][0, 0]) for one in learner.met} == {1, 2, 3} - {
            number
        }


MANY = tuple(Address(f"0x{number:040x}") for number in range(1, 31))
FEW = small_manifest(
    MANY, strategy={"share": {"average": ["generator*"], "publish": ["d*"], "opponents": 5}}
)


@given(st.sets(st.sampled_from(MANY)), st.integers(1, 1000))
def test_the_seed_draws_opponents_for_each_member_and_round(others, round):
    drawn = draw_opponents(FEW, round, MANY[0], others)
    assert len(drawn) == min(5, len(others - {MANY[0]}))
    assert set(drawn) <= others - {MANY[0]}
    assert draw_opponents(FEW, round, MANY[0], drawn) == drawn, "those alone give the same"


def test_over_the_rounds_a_member_meets_everybody():
    met = {other for round in range(1, 60) for other in draw_opponents(FEW, round, MANY[0], MANY)}
    assert met == set(MANY[1:])
