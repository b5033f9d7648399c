"""What a manifest and its strategy know about a learner, whatever it learns."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from fl_node.fields import Choice, Loss, OptimiserState
from fl_node.manifest.extractor import Extractor
from fl_node.strategy.roles import Roles
from fl_node.strategy.strategy import Strategy


class LearnerChoice(Choice):
    """A learner in a manifest, and what the strategy needs to know about it. Needs no torch."""

    body: ClassVar[tuple[str, ...]]
    """Patterns over tensor names. FedPer shares the tensors that match; the others stay with their member."""
    falling_loss: ClassVar[Loss]
    """The recorded loss that falls as the learner improves."""
    metrics: ClassVar[tuple[str, ...]]
    """The names of the numbers that members measure and state in their updates."""
    required: ClassVar[tuple[str, ...]]
    """The distributions, such as `torch`, whose installed versions members state, in ascending order."""
    opponent: ClassVar[str | None] = None
    """The part of the model of which the learner can train against other members' published copies."""

    optimiser_state: OptimiserState = "kept"
    """Whether the optimisers' moments go on from round to round, or start each round anew."""

    @property
    def sgd_momentum(self) -> Decimal:
        """The momentum of plain SGD; 0 without momentum, and for another optimiser."""
        return Decimal(0)

    @property
    def compared_by(self) -> Extractor | None:
        """The extractor with which the held-out loss compares pictures; None if it compares none."""
        return None

    @property
    def extractor_shape(self) -> Extractor:
        """The network and width of an extractor for this task's pictures, whether or not the learner compares any."""
        return self.compared_by or Extractor()

    @property
    def tensor_roles(self) -> Roles:
        """Which of the model's tensors are statistics or averages; by default all are weights."""
        return Roles()

    def objection_to(self, strategy: Strategy) -> str | None:
        """Why this learner cannot be trained by a strategy, beginning with its field; None if it can."""
        return None
