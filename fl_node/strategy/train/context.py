"""What an algorithm may use besides its learner and its assignment."""

from __future__ import annotations

from dataclasses import dataclass, field

from fl_node.arrays import Arrays
from fl_node.history.past import Past
from fl_node.learner import StepProgress, no_progress


@dataclass(frozen=True, slots=True)
class Context:
    """The round around a member's training.

    Attributes:
        past: The final rounds so far; empty for an algorithm that does not need them.
        server: SCAFFOLD's c, the slot "control" of the global state, by tensor name; empty for other algorithms.
        progress: Called with the steps.
    """

    past: Past = ()
    server: Arrays = field(default_factory=dict)
    progress: StepProgress = no_progress
