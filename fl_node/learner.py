"""What the node asks of whatever learns: one function from a received model to a trained one.

The torch world in `fl_node.learning` implements it. Nothing outside knows which learner runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fl_node.arrays import Arrays

Progress = Callable[[int, int, dict[str, float]], None]
"""Called now and then during training with (step, steps in all, current losses)."""


def no_progress(step: int, steps: int, losses: dict[str, float]) -> None:
    """Report nothing."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What one round of local training gives.

    Attributes:
        shared: The trained shared tensors; names, shapes and dtypes of the received ones.
        private: Everything else that the next round needs (unshared tensors, optimiser state), as arrays.
        num_examples: Examples in the local training set, > 0; the weight of the update.
        training_loss: Mean loss over the local training; finite.
        held_out_loss: Loss of the *received* model on local data held out from training; finite.
    """

    shared: Arrays
    private: Arrays
    num_examples: int
    training_loss: float
    held_out_loss: float


class Learner(Protocol):
    """Trains on one member's data. A pure function of its arguments and that data: same input, same bytes."""

    def train(
        self, shared: Arrays, private: Arrays | None, seed: int, progress: Progress = no_progress
    ) -> Trained:
        """Train for one round.

        Args:
            shared: The round's parent model.
            private: What the member's last round returned; None in its first round.
            seed: 0 to 2**63 - 1; every random choice of the round follows from it.
            progress: Told about the steps.
        """
