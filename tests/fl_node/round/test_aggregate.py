"""A round's arithmetic: the bad updates are left out by name, the good ones make the model."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from doubles import small_manifest

from chain.types import Address, Reveal, UpdateRevealed
from fl_node.arrays import Array, Arrays, prefixed
from fl_node.blobs.digest import digest_of
from fl_node.blobs.encoding import Update, UpdateHeader, encode_update, encoding_seed
from fl_node.blobs.global_state import first_state
from fl_node.blobs.model import encode_model, load_model
from fl_node.blobs.sealed import MAGIC, seal
from fl_node.blobs.store import Store, key_of, open_store
from fl_node.errors import (
    BlobMalformed,
    BlobMissing,
    BlobOversized,
    BlobTampered,
    StoreUnusable,
    UpdateInvalid,
)
from fl_node.manifest.manifest import Manifest
from fl_node.round.aggregate import Aggregated, aggregate_round
from fl_node.strategy.combine import WeightedMean, weighted_mean

MANIFEST = small_manifest()
SCAFFOLD = small_manifest(strategy={"preset": "scaffold"})
A, B, C = MANIFEST.addresses
PARENT = {"w": np.arange(4, dtype=np.float32), "b": np.ones(2, np.float32)}


@dataclass
class Scene:
    """A folder with a parent in it, and what is revealed in the round that starts from it."""

    folder: Path
    manifest: Manifest = MANIFEST
    state: Arrays = field(default_factory=lambda: PARENT)
    reveals: list[UpdateRevealed] = field(default_factory=list)
    abandoned: list[UpdateRevealed] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store: Store = open_store(self.folder)
        self.parent_digest = self.store.put(encode_model(self.state))

    def update(self, client: Address, seed: int = 1, examples: int = 10) -> Update:
        random = np.random.default_rng(seed)
        arrays = {n: random.standard_normal(a.shape).astype(np.float32) for n, a in PARENT.items()}
        seed = encoding_seed(MANIFEST.seed, 1, client)
        header = UpdateHeader(1, 1, client, self.parent_digest, examples, 5, "float32", seed)
        return Update(header, arrays)

    def reveal_blob(
        self, client: Address, blob: bytes, examples: int = 10, salt: bytes = bytes(32)
    ) -> Path:
        digest = self.store.put(blob)
        self.reveals.append(UpdateRevealed(1, 1, client, Reveal(digest, examples, 0, 0, salt)))
        return self.folder / key_of(digest)

    def reveal_sealed(self, update: Update, key: bytes, salt: bytes) -> Path:
        """Sealed with a key, and revealed with a salt, which honest members do not let differ."""
        blob = seal(encode_update(update.header, update.arrays), key)
        return self.reveal_blob(update.header.client, blob, update.header.num_examples, salt)

    def reveal(self, update: Update) -> Path:
        blob = encode_update(update.header, update.arrays)
        return self.reveal_blob(update.header.client, blob, update.header.num_examples)

    def aggregate(self) -> Aggregated:
        parent = load_model(self.store, self.parent_digest, 1 << 20)
        return aggregate_round(self.store, self.manifest, parent, self.reveals, self.abandoned)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "store")


def test_valid_updates_make_the_model(scene):
    updates = [scene.update(A, 1), scene.update(B, 2), scene.update(C, 3, examples=7)]
    paths = [scene.reveal(update) for update in updates]
    result = scene.aggregate()
    assert result.blob == encode_model(weighted_mean(WeightedMean(), PARENT, updates))
    assert result.digest == digest_of(result.blob)
    assert (result.included, result.left_out) == (0b111, {})
    assert result.blob_bytes == len(result.blob) + sum(path.stat().st_size for path in paths)


def test_the_order_of_reveals_changes_nothing(scene):
    for seed, client in enumerate((C, A, B)):
        scene.reveal(scene.update(client, seed))
    first = scene.aggregate()
    scene.reveals.reverse()
    assert scene.aggregate() == first


def test_no_valid_update_leaves_the_parent(scene):
    scene.reveal_blob(A, b"nonsense")
    result = scene.aggregate()
    assert (result.digest, result.included) == (scene.parent_digest, 0)


def blame(scene: Scene, bad: Address = B) -> Exception:
    """The one fault, after checking that the other two updates went through without it."""
    with_bad = scene.aggregate()
    scene.reveals = [revealed for revealed in scene.reveals if revealed.client != bad]
    without = scene.aggregate()
    assert with_bad.blob == without.blob
    assert with_bad.included == without.included == 0b101
    assert list(with_bad.left_out) == [bad]
    return with_bad.left_out[bad]


@pytest.fixture
def others(scene: Scene) -> Scene:
    scene.reveal(scene.update(A, 10))
    scene.reveal(scene.update(C, 30))
    return scene


def test_a_missing_blob_is_left_out(others):
    others.reveal(others.update(B)).unlink()
    assert isinstance(blame(others), BlobMissing)


def test_an_altered_blob_is_left_out(others):
    path = others.reveal(others.update(B))
    blob = bytearray(path.read_bytes())
    blob[-1] ^= 1
    path.write_bytes(blob)
    assert isinstance(blame(others), BlobTampered)


def test_a_truncated_blob_is_left_out(others):
    path = others.reveal(others.update(B))
    path.write_bytes(path.read_bytes()[:-1])
    assert isinstance(blame(others), BlobTampered)


def test_an_oversized_blob_is_left_out(others):
    update = others.update(B)
    others.reveal_blob(B, encode_update(update.header, update.arrays) + bytes(24))
    assert isinstance(blame(others), BlobOversized)


def test_a_blob_that_is_no_safetensors_is_left_out(others):
    others.reveal_blob(B, b"\x80\x04K\x01.")
    assert isinstance(blame(others), BlobMalformed)


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("task", {"task": 2}),
        ("round", {"round": 2}),
        ("client", {"client": A}),
        ("parent_digest", {"parent_digest": bytes(32)}),
        ("num_examples", {"num_examples": 11}),
        ("seed", {"seed": 1}),
        ("steps_limit", {"steps": 0}),
    ],
)
def test_an_update_made_for_something_else_is_left_out(others, rule, change):
    update = others.update(B)
    others.reveal_blob(B, encode_update(replace(update.header, **change), update.arrays))
    fault = blame(others)
    assert isinstance(fault, UpdateInvalid)
    assert fault.rule == rule


def test_an_update_of_nan_is_left_out(others):
    update = others.update(B)
    others.reveal(Update(update.header, {**update.arrays, "b": np.full(2, np.nan, np.float32)}))
    assert blame(others).rule == "finite"


def test_a_count_of_examples_above_the_limit_is_left_out(others):
    others.reveal(others.update(B, examples=10**9))
    assert blame(others).rule == "examples_limit"


def test_somebody_who_is_no_member_is_left_out(others):
    stranger = Address("0x" + "99" * 20)
    others.reveal(others.update(stranger))
    assert blame(others, stranger).rule == "member"


@pytest.mark.parametrize("thief_first", [False, True])
def test_of_two_updates_with_the_same_content_the_one_revealed_first_counts(scene, thief_first):
    first, second = (A, C) if thief_first else (C, A)
    scene.reveal(scene.update(first, seed=1))
    scene.reveal(scene.update(B, seed=2))
    scene.reveal(scene.update(second, seed=1))
    result = scene.aggregate()
    assert list(result.left_out) == [second]
    assert result.left_out[second].rule == "repeat"
    assert result.included == 0b111 & ~(1 << MANIFEST.addresses.index(second))
    kept = sorted(
        [scene.update(first, seed=1), scene.update(B, seed=2)], key=lambda u: u.header.client
    )
    assert result.blob == encode_model(weighted_mean(WeightedMean(), PARENT, kept))


def sent_by(client: Address, update: Update) -> Update:
    seed = encoding_seed(MANIFEST.seed, 1, client)
    return Update(replace(update.header, client=client, seed=seed), update.arrays)


def test_updates_that_only_have_the_same_norm_both_count(scene):
    one = scene.update(A)
    scene.reveal(one)
    other = {name: -array for name, array in one.arrays.items()}
    scene.reveal(sent_by(B, Update(one.header, other)))
    assert scene.aggregate().included == 0b11


def test_a_store_that_fails_between_two_reads_is_nobodys_fault(scene, monkeypatch):
    scene.reveal(scene.update(A))
    read = Store.get

    def fail_after_the_parent(store: Store, digest: bytes, max_bytes: int) -> memoryview:
        if digest != scene.parent_digest:
            raise StoreUnusable("unplugged")
        return read(store, digest, max_bytes)

    monkeypatch.setattr(Store, "get", fail_after_the_parent)
    with pytest.raises(StoreUnusable, match="unplugged"):
        scene.aggregate()


def test_a_parent_that_is_not_there_is_an_error(scene):
    (scene.folder / key_of(scene.parent_digest)).unlink()
    with pytest.raises(BlobMissing):
        scene.aggregate()


def abort(scene: Scene) -> None:
    scene.abandoned, scene.reveals = scene.reveals, []


def test_an_update_sent_again_after_an_abort_counts(scene):
    scene.reveal(scene.update(A))
    abort(scene)
    scene.reveal(scene.update(A))
    assert scene.aggregate().included == 0b1


def test_a_copy_of_what_an_aborted_attempt_disclosed_is_left_out(scene):
    original = scene.update(A)
    scene.reveal(original)
    abort(scene)
    scene.reveal(sent_by(B, original))
    scene.reveal(original)
    result = scene.aggregate()
    assert result.included == 0b1
    assert "repeat" in str(result.left_out[B])


def test_an_aborted_attempt_is_not_combined(scene):
    scene.reveal(scene.update(A))
    abort(scene)
    assert scene.aggregate().digest == scene.parent_digest


class Forgetful:
    """A store from which one blob is gone, or comes back altered, once it has been read."""

    def __init__(self, store: Store, digest: bytes, path: Path, damage: str) -> None:
        self._store, self._digest, self._path, self._damage = store, digest, path, damage

    def get(self, digest: bytes, max_bytes: int) -> memoryview:
        blob = memoryview(bytes(self._store.get(digest, max_bytes)))
        if digest == self._digest:
            self._path.unlink()
            if self._damage == "altered":
                self._path.write_bytes(bytes(len(blob)))
        return blob


@pytest.mark.parametrize("damage", ["gone", "altered"])
@pytest.mark.parametrize("copied", [False, True], ids=["variates", "a copy"])
def test_a_verdict_does_not_change_when_a_blob_vanishes_after_it(tmp_path, damage, copied):
    """With control variates, and where somebody copied, updates are read a second time."""
    manifest = small_manifest(strategy="fedavg" if copied else "scaffold")
    scene = Scene(tmp_path / "store")
    parent_arrays = first_state(PARENT, manifest.strategy.slots)
    scene.parent_digest = scene.store.put(encode_model(parent_arrays))
    paths = {}
    for client in (A, B):
        update = scene.update(client, 1 if copied else int(client, 16))
        variates = {} if copied else {f"control.{n}": a for n, a in update.arrays.items()}
        paths[client] = scene.reveal(replace(update, arrays={**update.arrays, **variates}))
    digest = scene.reveals[0].reveal.update_digest
    store = Forgetful(scene.store, digest, paths[A], damage)
    parent = load_model(scene.store, scene.parent_digest, 1 << 20)

    with pytest.raises(StoreUnusable, match=f"{A} was valid when it was first read"):
        aggregate_round(store, manifest, parent, scene.reveals)


def test_a_copy_of_what_was_copied_in_an_aborted_attempt_is_left_out_without_its_author(scene):
    original = scene.update(A)
    scene.reveal(original)
    scene.reveal(sent_by(B, original))
    abort(scene)
    scene.reveal(sent_by(B, original))
    assert blame_of(scene, B) == "repeat"


def test_a_copy_of_an_aborted_attempt_is_one_though_its_author_now_sends_something_else(scene):
    original = scene.update(A, seed=1)
    scene.reveal(original)
    abort(scene)
    scene.reveal(scene.update(A, seed=2))
    scene.reveal(sent_by(B, original))
    assert blame_of(scene, B) == "repeat"


def test_the_first_of_several_aborted_attempts_counts(scene):
    original = scene.update(A)
    scene.reveal(original)
    abort(scene)
    first = scene.abandoned
    scene.reveal(sent_by(B, original))
    abort(scene)
    scene.abandoned = first + scene.abandoned
    scene.reveal(sent_by(B, original))
    scene.reveal(original)
    assert blame_of(scene, B) == "repeat"
    scene.abandoned.reverse()
    assert blame_of(scene, A) == "repeat", "who was first is read from the log"


def test_a_copier_that_sends_its_own_after_the_abort_counts(scene):
    original = scene.update(A, seed=1)
    scene.reveal(original)
    scene.reveal(sent_by(B, original))
    abort(scene)
    scene.reveal(original)
    scene.reveal(scene.update(B, seed=2))
    assert scene.aggregate().included == 0b11


def test_what_was_invalid_in_an_aborted_attempt_is_nobodys_to_repeat(scene):
    original = scene.update(A)
    too_many = Update(replace(original.header, num_examples=10**9), original.arrays)
    scene.reveal(too_many)
    abort(scene)
    scene.reveal(sent_by(B, original))
    assert scene.aggregate().included == 0b10


def blame_of(scene: Scene, client: Address) -> str:
    """The rule that one client's update breaks, where no other's breaks any."""
    left_out = scene.aggregate().left_out
    assert list(left_out) == [client]
    fault = left_out[client]
    assert isinstance(fault, UpdateInvalid)
    return fault.rule


def controlled(scene: Scene, client: Address, change: float) -> Update:
    """An update of SCAFFOLD whose every control variate has changed by so much."""
    update = scene.update(client)
    changes = {name: np.full(array.shape, change, np.float32) for name, array in PARENT.items()}
    return Update(update.header, {**update.arrays, **prefixed("control.", changes)})


def control_of(value: float) -> dict[str, Array]:
    variates = {name: np.full(array.shape, value, np.float32) for name, array in PARENT.items()}
    return prefixed("server.control.", variates)


def test_the_control_variate_moves_by_the_included_changes_over_all_members(tmp_path):
    """c = 1, and members 1 and 2 of three send 3 and 6: 1 + (3 + 6) / 3 = 4. What is left out moves nothing."""
    scene = Scene(tmp_path / "store", SCAFFOLD, {**PARENT, **control_of(1.0)})
    sent = [controlled(scene, A, 3.0), controlled(scene, B, 6.0)]
    bad = controlled(scene, C, 9.0)
    scene.reveal(Update(replace(bad.header, steps=0), bad.arrays))
    for update in sent:
        scene.reveal(update)
    result = scene.aggregate()
    assert (result.included, list(result.left_out)) == (0b011, [C])
    plain = [Update(one.header, {name: one.arrays[name] for name in PARENT}) for one in sent]
    model = weighted_mean(WeightedMean(), PARENT, plain)
    assert result.blob == encode_model({**model, **control_of(4.0)})


SALT = bytes(range(32))


class TestSealed:
    def test_a_sealed_update_counts_like_a_plain_one(self, scene):
        plain = Scene(scene.folder.with_name("plain"))
        for number, client in enumerate((A, B, C)):
            scene.reveal_sealed(scene.update(client, number), SALT, SALT)
            plain.reveal(plain.update(client, number))
        sealed, expected = scene.aggregate(), plain.aggregate()
        assert (sealed.blob, sealed.included) == (expected.blob, 0b111)
        assert sealed.blob_bytes == expected.blob_bytes + 3 * len(MAGIC)

    def test_sealed_and_plain_updates_go_together(self, others):
        others.reveal_sealed(others.update(B), SALT, SALT)
        assert others.aggregate().included == 0b111

    def test_an_update_that_its_salt_does_not_open_is_left_out(self, others):
        others.reveal_sealed(others.update(B), SALT, bytes(32))
        assert isinstance(blame(others), BlobMalformed)

    def test_a_seal_of_nothing_is_left_out(self, others):
        others.reveal_blob(B, MAGIC, salt=SALT)
        assert isinstance(blame(others), BlobMalformed)

    def test_a_sealed_update_keeps_the_rules(self, others):
        update = others.update(B)
        others.reveal_sealed(replace(update, header=replace(update.header, task=2)), SALT, SALT)
        assert blame(others).rule == "task"

    def test_an_altered_seal_is_left_out(self, others):
        path = others.reveal_sealed(others.update(B), SALT, SALT)
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        assert isinstance(blame(others), BlobTampered)

    def test_an_oversized_seal_is_left_out(self, others):
        update = others.update(B)
        blob = encode_update(update.header, update.arrays) + bytes(16)
        others.reveal_blob(B, seal(blob, SALT), salt=SALT)
        assert isinstance(blame(others), BlobOversized)

    @pytest.mark.parametrize("thief_seals", [False, True])
    def test_the_content_is_compared_unsealed(self, scene, thief_seals):
        scene.reveal_sealed(scene.update(A, seed=1), SALT, SALT)
        scene.reveal(scene.update(B, seed=2))
        copy = scene.update(C, seed=1)
        if thief_seals:
            scene.reveal_sealed(copy, bytes(32), bytes(32))
        else:
            scene.reveal(copy)
        assert scene.aggregate().left_out[C].rule == "repeat"

    def test_another_members_blob_and_salt_are_no_update_of_the_copier(self, others):
        """What an aborted attempt revealed is public, salt and all."""
        blob = seal(encode_update(others.update(A, 7).header, others.update(A, 7).arrays), SALT)
        others.reveal_blob(B, blob, salt=SALT)
        assert blame(others).rule == "client"
