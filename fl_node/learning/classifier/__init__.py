"""A picture classifier, whose last layer can stay with each member (FedPer: share only `base.*`).

options.py        the knobs
models.py         a small CNN and ResNet-18;  initial.py  their initial values
training.py       how a member trains it
evaluation.py     accuracy, losses and features;  judge.py  measures finished models
"""

from collections.abc import Collection

from fl_node.learning.classifier.initial import initial
from fl_node.learning.classifier.judge import ClassifierJudge
from fl_node.learning.classifier.options import ClassifierOptions, classifier_options
from fl_node.learning.classifier.training import Classifier
from fl_node.learning.data import Images
from fl_node.learning.kind import Kind
from fl_node.learning.labels import verify_labels


def _verify(options: ClassifierOptions, images: Images) -> None:
    verify_labels(options.classes, images)


def _usage(options: ClassifierOptions, parts: Collection[str]) -> list[str]:
    pictures = f"torch.rand(8, {options.channels}, {options.size}, {options.size}) * 2 - 1"
    return [f'logits = model["head"](model["base"].eval()({pictures}))']


CLASSIFIER = Kind(
    learner=Classifier(),
    options=classifier_options,
    initial=initial,
    verify=_verify,
    judge=ClassifierJudge,
    usage=_usage,
)

__all__ = ["CLASSIFIER"]
