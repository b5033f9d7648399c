"""The manifest: everything the members agree on before training, as one file whose digest is on chain.

People write TOML. What is stored and hashed is canonical JSON with all defaults and presets written out, so the digest
identifies the algorithm even if a later version has other defaults.
"""

from __future__ import annotations

from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import ErrorDetails

from chain.accounts import to_address
from chain.errors import FileUnusable
from chain.files import read_text
from chain.types import BASIS_POINTS, MAX_MEMBERS, Address, Terms, address_number
from fl_node.blobs.canonical import canonical_json, parse_json
from fl_node.errors import BlobMalformed, ManifestInvalid
from fl_node.fields import Fraction, Number, OneOf, Section
from fl_node.manifest.bounds import MAX_TOML_BYTES, parse_toml, verify_bounds
from fl_node.manifest.learner_choice import LearnerChoice
from fl_node.manifest.learners import DEFAULT_LEARNER, LEARNERS
from fl_node.strategy.presets import expand_preset
from fl_node.strategy.roles import Roles
from fl_node.strategy.strategy import Strategy

MANIFEST_FORMAT: Final = 3
MAX_MANIFEST_BYTES = 1 << 20
SHOWN_PROBLEMS = 10

Member = Annotated[str, AfterValidator(to_address)]
Learner = Annotated[LearnerChoice, OneOf(LEARNERS)]


class DataSchema(Section):
    """The form of every member's data: square pictures, whose values are scaled to [-1, 1]."""

    channels: Literal[1, 3] = 1
    size: Literal[32, 64] = 32
    held_out: Annotated[Number, Field(gt=0, lt=1)] = Decimal("0.1")
    """Share of a member's data that is held out from training, and only used for measurements."""


class Rounds(Section):
    """How rounds run; on chain these are the task's terms (contracts/ITrainingLedger.sol)."""

    count: Annotated[int, Field(ge=1, le=65_535)]
    commit_window: Annotated[int, Field(ge=1, lt=1 << 24)] = 600
    reveal_window: Annotated[int, Field(ge=1, lt=1 << 24)] = 120
    attest_window: Annotated[int, Field(ge=1, lt=1 << 24)] = 120
    cohort_fraction: Fraction = Decimal(1)
    cohort_floor: Annotated[int, Field(ge=1, le=MAX_MEMBERS)] = 2
    min_updates: Annotated[int, Field(ge=1, le=MAX_MEMBERS)] = 2
    quorum: Annotated[Number, Field(ge=0.5, lt=1, decimal_places=4)] = Decimal("0.5")


class Limits(Section):
    """Limits for an update; an update that exceeds one is left out."""

    update_norm: Annotated[Number, Field(gt=0)] = Decimal(200)
    """Euclidean norm of the whole update."""
    examples: Annotated[int, Field(ge=1, le=(1 << 53) - 1)] = 1_000_000
    steps: Annotated[int, Field(ge=1, le=(1 << 31) - 1)] = 1_000_000
    """Optimiser steps that an update may claim."""
    model_bytes: Annotated[int, Field(ge=1, le=1 << 40)] = 1 << 30


class Manifest(Section):
    """A complete description of a task. docs/manifest.md explains every field."""

    format: Literal[3] = MANIFEST_FORMAT
    name: Annotated[str, Field(min_length=1, max_length=200)]
    seed: Annotated[int, Field(ge=0, lt=1 << 63)]
    members: Annotated[tuple[Member, ...], Field(min_length=1, max_length=MAX_MEMBERS)]
    data: DataSchema = DataSchema()
    learner: Learner = DEFAULT_LEARNER
    roles: Roles = Field(default_factory=lambda given: given["learner"].tensor_roles)
    """Which tensors are statistics or averages. It follows from the learner and is written out for every reader."""
    strategy: Strategy = Strategy()
    rounds: Rounds
    limits: Limits = Limits()

    @model_validator(mode="before")
    @classmethod
    def _expand_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        strategy = values.get("strategy", "fedavg")
        if not isinstance(strategy, str | dict):
            return values
        learner = _learner_of(values.get("learner", DEFAULT_LEARNER))
        expanded = expand_preset(strategy, learner.body, learner.falling_loss)
        return {**values, "strategy": expanded}

    @model_validator(mode="after")
    def _members_fit(self) -> Self:
        numbers = [address_number(Address(member)) for member in self.members]
        if sorted(set(numbers)) != numbers:
            raise ValueError("members must be distinct and in ascending order of address")
        if self.rounds.cohort_floor > len(self.members):
            raise ValueError(
                f"rounds.cohort_floor is {self.rounds.cohort_floor}, but there are {len(self.members)} members"
            )
        if self.rounds.min_updates > self.rounds.cohort_floor:
            raise ValueError(
                f"rounds.min_updates is {self.rounds.min_updates}; at most rounds.cohort_floor, "
                f"{self.rounds.cohort_floor}, is allowed"
            )
        return self

    @model_validator(mode="after")
    def _roles_follow(self) -> Self:
        if self.roles != self.learner.tensor_roles:
            raise ValueError("roles differ from those that follow from the learner: leave them out")
        return self

    @model_validator(mode="after")
    def _choices_fit(self) -> Self:
        learner = self.learner
        objection = self.strategy.objection(
            learner.falling_loss,
            learner.sgd_momentum,
            learner.optimiser_state,
            learner.opponent,
            len(self.members),
            self.rounds.min_updates,
        ) or learner.objection_to(self.strategy)
        if objection:
            raise ValueError(f"strategy.{objection}")
        return self

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The members in ascending order; a member's position is its index on chain."""
        return tuple(Address(member) for member in self.members)

    def terms(self) -> Terms:
        """The part of the manifest that the contract enforces."""
        rounds = self.rounds
        return Terms(
            rounds=rounds.count,
            commit_window=rounds.commit_window,
            reveal_window=rounds.reveal_window,
            attest_window=rounds.attest_window,
            cohort_fraction=int(rounds.cohort_fraction * BASIS_POINTS),
            cohort_floor=rounds.cohort_floor,
            min_updates=rounds.min_updates,
            quorum=int(rounds.quorum * BASIS_POINTS),
        )

    def to_bytes(self) -> bytes:
        """The canonical JSON that is stored and hashed (docs/protocol.md)."""
        return canonical_json(self.model_dump(mode="json"))


def _learner_of(value: object) -> LearnerChoice:
    """The learner that a manifest describes; the default one for a wrong description, which is refused later."""
    try:
        learner: LearnerChoice = _LEARNER.validate_python(value)
    except ValidationError:
        return DEFAULT_LEARNER
    return learner


_LEARNER: TypeAdapter[LearnerChoice] = TypeAdapter(Learner)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest that a person wrote, in TOML. `fl_node.manifest.packing` reads one that names paths.

    Raises:
        ManifestInvalid: The file cannot be read, is not TOML, or has a wrong field, which the message names.
    """
    return build_manifest(read_values(path))


def read_values(path: Path) -> dict[str, Any]:
    """Read the values of a manifest in TOML, which may be wrong.

    Raises:
        ManifestInvalid: The file cannot be read, or is not TOML.
    """
    try:
        return parse_toml(read_text(path, MAX_TOML_BYTES))
    except FileUnusable as trouble:
        raise ManifestInvalid(str(trouble)) from None
    except ValueError as error:
        raise ManifestInvalid(f"{path}: {error}") from None


def build_manifest(values: dict[str, Any]) -> Manifest:
    """Validate a manifest's values.

    Raises:
        ManifestInvalid: Fields are wrong; the message names the first ones and says what is allowed.
    """
    try:
        verify_bounds(values)
        return Manifest.model_validate(values)
    except ValidationError as error:
        raise ManifestInvalid(_explain(error)) from None
    except ValueError as error:
        raise ManifestInvalid(f"manifest: {error}") from None


def parse_manifest(blob: bytes) -> Manifest:
    """Read a manifest from its stored canonical JSON.

    Raises:
        BlobMalformed: Not JSON, not a valid manifest, or not in canonical form.
    """
    try:
        manifest = build_manifest(parse_json(blob.decode()))
    except (ValueError, ManifestInvalid) as error:
        raise BlobMalformed(f"not a manifest: {error}") from None
    if manifest.to_bytes() != blob:
        raise BlobMalformed("the manifest is not in canonical form")
    return manifest


def _shown(value: object) -> str:
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= 80 else text[:80] + "..."


def _readable(name: str) -> str:
    return name if name.isprintable() else repr(name)


def _field_of(place: tuple[int | str, ...]) -> str:
    """The field's name as in the manifest, without the kind that pydantic adds after the name of a choice."""
    kinds = {kind.name() for kind in (*LEARNERS, *Strategy.kinds())}
    parts = [_readable(str(part)) for part in place]
    choices = ("learner", "train", "send", "combine")
    behind = [before in choices or before.isdecimal() for before in ["", *parts]]
    return ".".join(
        part for part, chosen in zip(parts, behind, strict=False) if not (chosen and part in kinds)
    )


def _explain(error: ValidationError) -> str:
    # A default that could not be computed is the consequence of another problem.
    problems = [
        problem
        for problem in error.errors(include_url=False)
        if problem["type"] != "default_factory_not_called"
    ]
    lines = [_line_of(problem) for problem in problems[:SHOWN_PROBLEMS]]
    more = len(problems) - len(lines)
    return "manifest: " + "; ".join(lines) + (f"; and {more} more" if more else "")


def _did_you_mean(name: str) -> str:
    schema = Manifest.model_json_schema()
    sections = (schema, *schema["$defs"].values())
    known = {field for section in sections for field in section.get("properties", {})}
    close = get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _line_of(problem: ErrorDetails) -> str:
    field = _field_of(problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{field}: unknown field{_did_you_mean(str(problem['loc'][-1]))}"
    message = problem["msg"].removeprefix("Value error, ")
    given = "" if isinstance(problem["input"], dict) else f" (given: {_shown(problem['input'])})"
    return f"{field}: {message}{given}" if field else message
