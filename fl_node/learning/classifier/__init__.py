"""A classifier of pictures, whose last layer can stay with each member (FedPer: share only `base.*`).

models.py         a small CNN and ResNet-18;  initial.py  their first values
training_loop.py  the steps
evaluation.py     how good it is, and what it sees in pictures
"""

from fl_node.learning.classifier.evaluation import held_out_loss
from fl_node.learning.classifier.initial import initial
from fl_node.learning.classifier.labels import verify_labels
from fl_node.learning.classifier.models import build
from fl_node.learning.classifier.training_loop import prepare_training, train_steps
from fl_node.learning.kind import Kind

CLASSIFIER = Kind(
    build=build,
    initial=initial,
    verify=verify_labels,
    prepare_training=prepare_training,
    train_steps=train_steps,
    features=lambda model: model["base"],
    held_out_loss=held_out_loss,
)

__all__ = ["CLASSIFIER"]
