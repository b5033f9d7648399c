"""A GAN, conditioned on classes if the manifest says so.

options.py        the knobs
models.py         generator and discriminator;  initial.py  their initial values
dcgan.py          a DCGAN's layers;  residual.py  residual layers without norms
losses.py         the losses and the gradient penalty
training.py       how a member trains it
evaluation.py     the held-out loss during training
samples.py        draws samples
"""

from collections.abc import Collection
from functools import partial

from fl_node.learning.averages import drawing_part
from fl_node.learning.gan.initial import initial
from fl_node.learning.gan.options import GanOptions, gan_options
from fl_node.learning.gan.samples import sampler
from fl_node.learning.gan.training import Gan
from fl_node.learning.kind import Kind
from fl_node.learning.labels import verify_conditions
from fl_node.learning.sample_judge import SampleJudge


def _usage(options: GanOptions, parts: Collection[str]) -> list[str]:
    generator = drawing_part(parts, "generator")
    if generator is None:
        return []
    pictures = f"(64, {options.channels}, {options.size}, {options.size}), values from -1 to 1"
    given = f"torch.randn(64, {options.latent})"
    if options.classes:
        given += f", torch.arange(64) % {options.classes}"
    return [f'pictures = model["{generator}"].eval()({given})  # {pictures}']


GAN = Kind(
    learner=Gan(),
    options=gan_options,
    initial=initial,
    verify=verify_conditions,
    judge=partial(SampleJudge, sampler),
    usage=_usage,
    sampler=sampler,
)

__all__ = ["GAN"]
