"""How a member trains a classifier: each step lowers the cross-entropy."""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.optim import Optimizer

from fl_node.learning.classifier.evaluation import held_out_loss
from fl_node.learning.classifier.models import build
from fl_node.learning.classifier.options import ClassifierOptions
from fl_node.learning.drift import Terms
from fl_node.learning.optimisers import adam, set_knobs, sgd
from fl_node.learning.pictures import PictureLearner
from fl_node.learning.steps import Batch, Features, Pictures, Step, Training, autocast

LOSS = "cross-entropy"
CLASSIFIER = "classifier"
"""The name of the optimiser."""


class Classifier(PictureLearner):
    """A base and a head, trained by one SGD or Adam."""

    rates = ("rate",)
    losses = (LOSS,)

    def build(self, options: ClassifierOptions) -> nn.ModuleDict:
        """Base and head."""
        return build(options)

    def optimisers(self, model: nn.ModuleDict, options: ClassifierOptions) -> dict[str, Optimizer]:
        """The optimiser that the options name."""
        knobs = {"lr": options.rate, "weight_decay": options.weight_decay}
        if options.optimiser == "adam":
            return {CLASSIFIER: adam(model.parameters(), **knobs)}
        return {CLASSIFIER: sgd(model.parameters(), **knobs, momentum=options.momentum)}

    def tune(self, optimisers: Mapping[str, Optimizer], options: ClassifierOptions) -> None:
        """Set the rate for a round."""
        set_knobs(optimisers[CLASSIFIER], lr=options.rate)

    def features(self, model: nn.ModuleDict) -> Features:
        """The base."""
        return model["base"]

    def held_out_loss(
        self, options: ClassifierOptions, model: nn.ModuleDict, held_out: Pictures, seed: int
    ) -> float:
        """The mean cross-entropy."""
        return held_out_loss(options, model, held_out, seed)

    def step(self, training: Training, options: ClassifierOptions, terms: Terms) -> Step:
        """One step that lowers the cross-entropy of a batch. The examples have labels."""
        base, head = training.model["base"], training.model["head"]
        optimiser = training.optimisers[CLASSIFIER]

        def take(batch: Batch) -> dict[str, Tensor]:
            with autocast(batch.x_NCHW.device):
                features_ND = base(batch.x_NCHW)
                logits_NK = head(features_ND).float()
                loss = objective = F.cross_entropy(logits_NK, batch.labels_N)
                if terms.second is not None:
                    objective = loss + terms.second.term(batch.x_NCHW, features_ND)
            optimiser.zero_grad()
            objective.backward()
            optimiser.step()
            return {LOSS: loss.detach()}

        return take
