"""Training with torch: how a member trains. Needs numpy and torch, but no chain.

task.py        from a manifest to genesis, partitioned data and learner
options.py     the knobs, as plain values
torch_learner.py  what a model brings: the base of the shipped kinds, and of users' own models
learner.py     one piece of training, from received model to trained model
drift.py       what an assignment can add: proximal term, correction, second stream
averages.py    the moving average that a step moves along
steps.py       what a training step is, and what it works on
run.py         runs the steps of every kind;  feed.py  their batches;  recording.py  steps recorded as CUDA graphs
workplace.py   a model and its optimisers, built once for many trainings
examples.py    a user's data;  calling.py  calls of a user's code;  randomness.py  what it draws
own/           opens a user's own model
gan/           a DCGAN: knobs, models, losses, training, evaluation
flow/          flow matching;  classifier/  a classifier: the same
pictures.py    what these three have in common
kind.py        what such a folder provides;  kinds.py  the table of them
genesis.py     the weights that training starts from;  initial.py  their exact arithmetic
tensors.py     modules as named arrays
optimisers.py  the shipped kinds' optimisers;  optimiser_state.py  the state of any optimiser as arrays
transfer.py    arrays to a device and back
norms.py       the normalisation layer that every network offers
extractor.py   a classifier that gives features;  inception.py  Inception-v3, optional
sampling.py    draws samples;  sample_judge.py  how good they are
judging.py     how good a finished model is;  features.py  the interface of extractors
data.py        loads pictures;  partition.py  partitions them between members
device.py      chooses and prepares the device
"""

from fl_node.learning.data import Images, load_images, load_test_images
from fl_node.learning.device import choose_device, prepare
from fl_node.learning.examples import Split
from fl_node.learning.extractor import (
    extractor_options,
    open_extractor,
    random_weights,
    train_extractor,
)
from fl_node.learning.features import FeatureExtractor
from fl_node.learning.genesis import genesis
from fl_node.learning.inception import inception_extractor
from fl_node.learning.judging import Judge, Trial
from fl_node.learning.kinds import kind_of, learning_options
from fl_node.learning.learner import MemberLearner, make_learner
from fl_node.learning.options import Options
from fl_node.learning.partition import parse_partition, partition
from fl_node.learning.torch_learner import TorchLearner
from fl_node.strategy.sharing import shared_names, shared_part

__all__ = [
    "FeatureExtractor",
    "Images",
    "Judge",
    "MemberLearner",
    "Options",
    "Split",
    "TorchLearner",
    "Trial",
    "choose_device",
    "extractor_options",
    "genesis",
    "inception_extractor",
    "kind_of",
    "learning_options",
    "load_images",
    "load_test_images",
    "make_learner",
    "open_extractor",
    "parse_partition",
    "partition",
    "prepare",
    "random_weights",
    "shared_names",
    "shared_part",
    "train_extractor",
]
