"""The result of an audit: steps A1 to A9, their findings, and the verified training history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from chain.types import Address

STEPS = {
    "A1": "the code at the address is the committed contract, on the expected chain",
    "A2": "the event log is complete: replaying it gives the history head",
    "A3": "every event obeys the protocol",
    "A4": "manifest and genesis are the recorded blobs",
    "A5": "every included update is in the store and matches its digest",
    "A6": "the validity rules give exactly the recorded set of updates",
    "A7": "every recomputed aggregate has the recorded digest",
    "A8": "each round starts from the last final model",
    "A9": "the report agrees with the history",
}
"""The numbered steps; docs/protocol.md describes them under the same numbers."""


class Status(Enum):
    """The outcome of a step."""

    CLEAN = "clean"
    FINDINGS = "findings"
    NOT_REACHED = "not reached"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: the step that found it, where it is, what was expected and what was there.

    Attributes:
        step: "A1" to "A9".
        message: One line for people.
        round, client, digest: Where it is, as far as that applies; `digest` in hex.
        expected, actual: As text, as far as they apply.
    """

    step: str
    message: str
    round: int | None = None
    client: Address | None = None
    digest: str | None = None
    expected: str | None = None
    actual: str | None = None


@dataclass(frozen=True, slots=True)
class Cosigned:
    """That a witness has signed a point of this history.

    Attributes:
        witness: Its name.
        time: When, in seconds since 1970 (UTC), as the witness says.
        events: How many events lead to the point.
        head: The history head there, in hex.
        checked: Whether it is so; else nobody gave the witness's key, and the line says nothing.
    """

    witness: str
    time: int
    events: int
    head: str
    checked: bool


@dataclass(frozen=True, slots=True)
class InBlock:
    """That a block holds the history head.

    Attributes:
        block: The block's hash, in hex.
        number: The block's number.
        time: When it was made, in seconds since 1970 (UTC), as its maker says.
        trusted: Whether the auditor named this block; else the chain that it is of may never have been.
    """

    block: str
    number: int
    time: int
    trusted: bool


@dataclass(frozen=True, slots=True)
class AuditedUpdate:
    """One revealed update: who sent it, whether the round included it, and if not, why (recomputed).

    `metrics` is what a valid update states, as its header spells it; None if the update is not valid or cannot be read.
    """

    client: Address
    digest: str
    num_examples: int
    training_loss: int
    held_out_loss: int
    included: bool
    left_out_because: str | None = None
    metrics: dict[str, str | None] | None = None


@dataclass(frozen=True, slots=True)
class AuditedRound:
    """One final round as the chain recorded it. Losses are example-weighted means over the included updates, in
    millionths; None if no update was included. `metrics` are such means too, over the included updates that have a
    value; None if the updates that the round included cannot all be read.
    """

    round: int
    attempts: int
    parent_digest: str
    aggregate_digest: str
    updates: tuple[AuditedUpdate, ...]
    training_loss: int | None
    held_out_loss: int | None
    opened_at: int
    finalised_at: int
    metrics: dict[str, str | None] | None = None


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The whole audit.

    Attributes:
        task: The task's number.
        statuses: The outcome of every step.
        findings: In the order in which the steps found them, round by round.
        reasons: By step, why it was not reached, or not in every round.
        chain_id, contract, history_head, final_digest: Identify the history, in hex; None if A1 ended the audit.
        blob_bytes: Total size of the manifest, models and updates that were read, hashed and checked.
        rounds: The final rounds, as recorded.
        cosigned: What witnesses say about the history.
        in_block: The block that is proven to hold the history head; None if none is.
    """

    task: int
    statuses: dict[str, Status] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    reasons: dict[str, tuple[str, ...]] = field(default_factory=dict)
    chain_id: int | None = None
    contract: Address | None = None
    history_head: str | None = None
    final_digest: str | None = None
    blob_bytes: int = 0
    rounds: tuple[AuditedRound, ...] = ()
    cosigned: tuple[Cosigned, ...] = ()
    in_block: InBlock | None = None

    @property
    def verdict(self) -> str:
        """ "clean" or "findings"."""
        return "findings" if self.findings else "clean"

    def to_json(self) -> dict[str, Any]:
        """The report as JSON; docs/protocol.md lists the keys."""
        return {
            "verdict": self.verdict,
            "chain_id": self.chain_id,
            "contract": self.contract,
            "task": self.task,
            "history_head": self.history_head,
            "final_digest": self.final_digest,
            "blob_bytes": self.blob_bytes,
            "cosigned": [asdict(cosigned) for cosigned in self.cosigned],
            "in_block": asdict(self.in_block) if self.in_block else None,
            "steps": {step: self._step_to_json(step) for step in STEPS},
            "rounds": [asdict(audited) for audited in self.rounds],
        }

    def _step_to_json(self, step: str) -> dict[str, Any]:
        found = [asdict(finding) for finding in self.findings if finding.step == step]
        return {
            "title": STEPS[step],
            "status": self.statuses[step].value,
            "reasons": list(self.reasons.get(step, ())),
            "findings": found,
        }


def weighted_loss(pairs: Sequence[tuple[int, int]]) -> int | None:
    """Mean of losses in millionths, weighted by examples, rounded half to even; None if there are no pairs.

    Args:
        pairs: (loss, number of examples > 0) of each included update.
    """
    total = sum(examples for _, examples in pairs)
    if not total:
        return None
    quotient, remainder = divmod(sum(loss * examples for loss, examples in pairs), total)
    up = 2 * remainder > total or (2 * remainder == total and quotient % 2 == 1)
    return quotient + up
