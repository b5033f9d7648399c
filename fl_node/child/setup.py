"""What the child process is told before it runs a task's code: nothing that signs, pays, or leads to chain or store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """A learner to open: whose code is importable already, on one member's data.

    Attributes:
        kind: The learner's kind in the manifest, such as `module`.
        entry: `module:callable`, the learner in the task's code.
        genesis: `module:callable` that makes the model a task starts from; empty for the entry's own.
        knobs: The manifest's `learner.knobs`.
        seed: The manifest's seed, 0 to 2**63 - 1.
        share: Patterns over tensor names; tensors that match are averaged.
        held_out: Share of the data that is held out from training, above 0 and below 1.
        batch: Examples in a step, > 0; 0 if the code decides.
        metrics: Names of the metrics that travel with an update.
        losses: For each of the two losses on chain (`training`, `held_out`) the name of the metric that is it, for code
            that reports metrics alone.
        data: What `--data`, or `--node-config` for a Flower app, says.
        rule: The rule of the partition, such as `iid`.
        index, count: Which part of the data is this member's, from 0, and the number of parts.
        device: Such as `cpu` or `cuda:1`; None uses the fastest kind that is available.
        threads: CPU threads, > 0.
    """

    kind: str
    entry: str
    genesis: str = ""
    knobs: Mapping[str, Any] = field(default_factory=dict)
    seed: int
    share: tuple[str, ...] = ("*",)
    held_out: Decimal = Decimal("0.1")
    batch: int = 0
    metrics: tuple[str, ...] = ()
    losses: Mapping[str, str] = field(default_factory=dict)
    data: str = ""
    rule: str = "iid"
    index: int = 0
    count: int = 1
    device: str | None = "cpu"
    threads: int = 1
