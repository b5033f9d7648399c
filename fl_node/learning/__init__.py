"""The torch world: how a member trains. Needs numpy and torch, nothing of the chain.

options.py        the knobs, as plain values
models.py         generator and discriminator
losses.py         what they minimise
genesis.py        the weights they start from
training_loop.py  the steps
learner.py        one round: received model in, trained model out
evaluation.py     how good the received model is
tensors.py        modules and optimisers as named arrays; what is shared
data.py           pictures in;  partition.py  dealt out to several members
samples.py        pictures out
device.py         where it runs
"""

from fl_node.learning.data import Images, load_images
from fl_node.learning.device import choose_device
from fl_node.learning.genesis import genesis
from fl_node.learning.learner import DcganLearner, make_learner
from fl_node.learning.options import GanOptions, learning_options
from fl_node.learning.partition import parse_partition, partition
from fl_node.learning.samples import sample_grid
from fl_node.learning.tensors import shared_names, shared_part

__all__ = [
    "DcganLearner",
    "GanOptions",
    "Images",
    "choose_device",
    "genesis",
    "learning_options",
    "load_images",
    "make_learner",
    "parse_partition",
    "partition",
    "sample_grid",
    "shared_names",
    "shared_part",
]
