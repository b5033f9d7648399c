"""A DCGAN.

models.py         generator and discriminator;  initial.py  their first values
losses.py         what they minimise
training_loop.py  the steps
evaluation.py     how good its pictures are
samples.py        pictures out
"""

from fl_node.learning.data import Images
from fl_node.learning.gan.evaluation import held_out_loss
from fl_node.learning.gan.initial import initial
from fl_node.learning.gan.models import build
from fl_node.learning.gan.training_loop import prepare_training, train_steps
from fl_node.learning.kind import Kind
from fl_node.learning.options import GanOptions


def _accept(options: GanOptions, images: Images) -> None:
    """A GAN learns from any pictures of its shape."""


GAN = Kind(
    build=build,
    initial=initial,
    verify=_accept,
    prepare_training=prepare_training,
    train_steps=train_steps,
    features=lambda model: model["discriminator"].features,
    held_out_loss=held_out_loss,
)

__all__ = ["GAN"]
