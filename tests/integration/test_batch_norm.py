"""A GAN with batch norm under a server's momentum, which used to make its variances negative and its pictures NaN."""

from __future__ import annotations

import pytest
import torch
from running import TINY_GAN, learner_of, tiny_manifest

from fl_node.arrays import Arrays, unprefixed
from fl_node.blobs.model import decode_model
from fl_node.learning.gan.models import Generator
from fl_node.learning.gan.samples import sample
from fl_node.learning.kinds import learning_options
from fl_node.learning.task import derive_genesis
from fl_node.learning.tensors import fill_module
from fl_node.manifest.manifest import Manifest
from fl_node.member.simulation import simulate

MANIFEST = tiny_manifest(
    2,
    learner={**TINY_GAN, "norm": "batch"},
    strategy={"preset": "fedavgm", "work": {"steps": 4}},
    rounds={"count": 4},
)


def pictures(manifest: Manifest, model: Arrays, part: str) -> torch.Tensor:
    generator = Generator(learning_options(manifest))
    fill_module(generator, unprefixed(part, model))
    return sample(generator, torch.randn(16, 8, generator=torch.Generator().manual_seed(1)))


@pytest.mark.slow
def test_variances_stay_positive_and_pictures_finite_in_every_round() -> None:
    learners = {member: learner_of(MANIFEST, member) for member in MANIFEST.addresses}
    for round in simulate(MANIFEST, learners, derive_genesis(MANIFEST)):
        state = decode_model(round.aggregated.blob)
        variances = [array for name, array in state.items() if name.endswith("running_var")]
        assert min(array.min() for array in variances) >= 0
        for part in ("generator.", "generator_ema."):
            assert torch.isfinite(pictures(MANIFEST, state, part)).all()
