"""The torch world: how a member trains. Needs numpy and torch, nothing of the chain.

options.py     the knobs, as plain values
learner.py     one piece of training: received model in, trained model out
drift.py       what an assignment can add: proximal pull, correction, second stream
steps.py       what the loops are made of
gan/           a DCGAN, and classifier/ a classifier: models, losses, loop, evaluation
kind.py        what such a folder brings;  kinds.py  the table of them
genesis.py     the weights that training starts from;  initial.py  by exact arithmetic
tensors.py     modules as named arrays, and what is shared;  optimisers.py  their state
norms.py       the norm that all networks can have
extractor.py   what pictures are compared by;  inception.py  an optional one
judging.py     how good a finished model is
data.py        pictures in;  partition.py  dealt out to several members
device.py      where it runs
"""

from fl_node.learning.classifier.evaluation import accuracy, features
from fl_node.learning.data import Images, load_images, load_test_images
from fl_node.learning.device import choose_device, prepare
from fl_node.learning.extractor import (
    Extractor,
    open_extractor,
    random_weights,
    train_extractor,
)
from fl_node.learning.gan.samples import sample_grid
from fl_node.learning.genesis import genesis
from fl_node.learning.inception import inception_extractor
from fl_node.learning.judging import ClassifierJudge, ClassifierQuality, GanJudge, SampleQuality
from fl_node.learning.learner import MemberLearner, make_learner
from fl_node.learning.options import (
    ClassifierOptions,
    GanOptions,
    Options,
    extractor_options,
    learning_options,
)
from fl_node.learning.partition import parse_partition, partition
from fl_node.learning.tensors import shared_names, shared_part

__all__ = [
    "ClassifierJudge",
    "ClassifierOptions",
    "ClassifierQuality",
    "Extractor",
    "GanJudge",
    "GanOptions",
    "Images",
    "MemberLearner",
    "Options",
    "SampleQuality",
    "accuracy",
    "choose_device",
    "extractor_options",
    "features",
    "genesis",
    "inception_extractor",
    "learning_options",
    "load_images",
    "load_test_images",
    "make_learner",
    "open_extractor",
    "parse_partition",
    "partition",
    "prepare",
    "random_weights",
    "sample_grid",
    "shared_names",
    "shared_part",
    "train_extractor",
]
