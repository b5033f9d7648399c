"""What a node settles before it joins: that the task starts from where its manifest says."""

from __future__ import annotations

import pytest
from doubles import small_manifest

from fl_node.blobs.digest import digest_of
from fl_node.blobs.model import encode_model
from fl_node.errors import ManifestInvalid, Misuse
from fl_node.learning.task import derive_genesis
from fl_node.manifest.manifest import Manifest
from fl_node.member.joining import verify_genesis

SMALL = {"latent": 4, "generator_width": 4, "discriminator_width": 4}


def manifest_of(seed: int = 5, share: str = "*") -> Manifest:
    return small_manifest(learner=SMALL, seed=seed, strategy={"share": [share]})


def genesis_digest(manifest: Manifest) -> bytes:
    return digest_of(encode_model(derive_genesis(manifest)))


@pytest.mark.parametrize("share", ["*", "generator.*"])
def test_the_genesis_of_the_seed_is_accepted(share: str) -> None:
    manifest = manifest_of(share=share)
    verify_genesis(derive_genesis(manifest), genesis_digest(manifest))


@pytest.mark.parametrize("other", [manifest_of(seed=6), manifest_of(share="generator.*")])
def test_another_genesis_is_refused_with_both_digests(other: Manifest) -> None:
    manifest, recorded = manifest_of(), genesis_digest(other)
    with pytest.raises(Misuse, match=f"expected {genesis_digest(manifest).hex()}") as refused:
        verify_genesis(derive_genesis(manifest), recorded)
    assert f"got {recorded.hex()}" in str(refused.value)


def test_a_manifest_that_shares_nothing_has_no_genesis() -> None:
    with pytest.raises(ManifestInvalid, match=r"strategy\.share: 'encoder\.\*' matches no tensor"):
        derive_genesis(manifest_of(share="encoder.*"))
