"""`strategy.work`: how much a member trains in a round."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from fl_node.fields import Beside, Loss, Section

Amount = Annotated[int, Field(ge=1, le=(1 << 31) - 1)]


class Work(Section):
    """How much a member trains in a round, on how many devices, and whether it may stop early."""

    steps: Amount | tuple[Amount, ...] | None = None
    """Optimiser steps: one number for all members, or one for each."""
    epochs: Amount | tuple[Amount, ...] | None = None
    """Passes over the member's data: one number for all members, or one for each."""
    until: Literal["done", "median_loss"] = "done"
    """Whether the work is fixed, or goes on in portions until the last round's median loss is reached (LoAdaBoost)."""
    loss: Loss = "training"
    """The loss that is compared with the median, and recorded as the training loss."""
    devices: Annotated[int, Field(ge=1, le=1000)] = 1
    """Number of devices behind a member's edge node, each with an equal part of the member's data."""
    edge_rounds: Annotated[int, Field(ge=1, le=1000)] = 1
    """How often an edge node averages its devices before it sends; each device takes all the steps before each."""

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        return self

    def amount(self, index: int) -> int:
        """The number of steps or epochs of the member at an index."""
        amount = self.steps if self.steps is not None else self.epochs
        return amount[index] if isinstance(amount, tuple) else amount or 0

    def objection(self, beside: Beside) -> str | None:
        """Why the work does not suit the manifest's members and learner; None if it does."""
        if self.until == "median_loss" and self.loss == "training" != beside.falling_loss:
            return "this learner's training loss does not fall as it learns: use loss = held_out"
        for name in ("steps", "epochs"):
            amount = getattr(self, name)
            if isinstance(amount, tuple) and len(amount) != beside.members:
                return f"{name} has {len(amount)} entries, but there are {beside.members} members"
        return None
