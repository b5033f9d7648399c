"""Learners of one's own: code that the manifest names by its digest, and that runs in a process of its own.

`fl_node.code` reads such code, `fl_node.child` runs it. The audit never does: the tensors and their roles are enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from fl_node.blobs.canonical import canonical_json
from fl_node.blobs.metrics import NAME
from fl_node.code.requirements import parse_requirement, required_names
from fl_node.fields import Loss, Section, written
from fl_node.manifest.learner_choice import LearnerChoice
from fl_node.strategy.roles import Roles
from fl_node.strategy.strategy import Strategy
from fl_node.strategy.train import Plain, TwoStream
from fl_node.strategy.work import Work

MAX_KNOB_BYTES = 1 << 14
"""The most bytes of a learner's knobs, as canonical JSON."""
MAX_KNOB_DEPTH = 8
MAX_NAMES = 64
"""The most metrics, and the most requirements."""

_WORD = r"[A-Za-z_][A-Za-z0-9_]*"
ENTRY = rf"^{_WORD}(\.{_WORD})*:{_WORD}(\.{_WORD})*$"


def is_digest(text: str) -> bool:
    """Whether a text is a sha256 as manifests write it: 64 lower-case hex digits."""
    return re.fullmatch("[0-9a-f]{64}", text) is not None


def _as_digest(value: object) -> object:
    if isinstance(value, str) and is_digest(value):
        return value
    raise ValueError(
        "expected a sha256, 64 lower-case hex digits; ganchor task open packs a path and puts its digest here"
    )


def plain_knobs(value: object, field: str = "", depth: int = 1) -> Any:
    """Knobs as canonical JSON has them: a number with a fraction becomes text, such as "0.0002".

    Args:
        value: As TOML or JSON gave it.
        field: Where it stands, for the error.
        depth: How deep, from 1.

    Raises:
        ValueError: It is nested too deep, or holds something else than text, numbers, truth values, lists and tables.
            A float is refused, because it has been rounded already.
    """
    if depth > MAX_KNOB_DEPTH:
        raise ValueError(f"{field}: nested more than {MAX_KNOB_DEPTH} deep")
    match value:
        case dict():
            return {
                _key(name): plain_knobs(item, f"{field}.{name}".strip("."), depth + 1)
                for name, item in value.items()
            }
        case list() | tuple():
            return [plain_knobs(item, field, depth + 1) for item in value]
        case Decimal() if value.is_finite():
            return written(value)
        case str() | bool() | int():
            return value
    raise ValueError(
        f"{field}: a {type(value).__name__} is not allowed; allowed are text, whole numbers, exact fractions, "
        "true, false, lists and tables"
    )


def _key(name: object) -> str:
    if not isinstance(name, str):
        raise ValueError(f"the name of a knob is text, not {name!r}")
    return name


def _as_knobs(value: object) -> object:
    if not isinstance(value, dict):
        raise ValueError("expected a table of knobs")
    knobs = plain_knobs(value)
    size = len(canonical_json(knobs))
    if size > MAX_KNOB_BYTES:
        raise ValueError(f"{size} bytes as JSON; at most {MAX_KNOB_BYTES} are allowed")
    return knobs


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ValueError(f"{name!r} is named twice")
    return names


def _as_requirement(text: str) -> str:
    parse_requirement(text)
    return text


def _of_distinct_packages(requires: tuple[str, ...]) -> tuple[str, ...]:
    names = required_names(requires)
    if len(names) < len(requires):
        raise ValueError(f"a package is required twice; they are {', '.join(names)}")
    return requires


Digest = Annotated[str, BeforeValidator(_as_digest)]
Entry = Annotated[str, Field(max_length=200, pattern=ENTRY)]
Knobs = Annotated[dict[str, Any], BeforeValidator(_as_knobs)]
MetricName = Annotated[str, Field(pattern=f"^{NAME.pattern}$")]
RecordName = Annotated[str, Field(pattern=r"^[ -~]{1,100}$")]
Required = Annotated[
    str, Field(pattern=r"^[ -~]+$", max_length=200), AfterValidator(_as_requirement)
]


class CodeLearner(LearnerChoice):
    """A learner of a member's own: its code and its first model by digest, and what everybody must know of it."""

    code: Digest
    """sha256 of the code in the task's store: a Python file, a wheel or a packed folder (`fl_node.code`)."""
    entry: Entry
    """What the code is entered by: `module:name`."""
    genesis: Digest
    """sha256 of the model blob that the task starts from, with every tensor, shared or not."""
    knobs: Knobs = Field(default={})
    """Values for the code alone."""
    metrics: Annotated[  # type: ignore[misc]  # A field here, fixed for the other learners.
        tuple[MetricName, ...], Field(max_length=MAX_NAMES), AfterValidator(_distinct)
    ] = ()
    """Names of what the code measures beside its losses; updates state them."""
    requires: Annotated[
        tuple[Required, ...], Field(max_length=MAX_NAMES), AfterValidator(_of_distinct_packages)
    ] = ()
    """Packages that a node must have (PEP 508); updates state which version it had."""
    falling_loss: Loss = "training"  # type: ignore[misc]
    roles: Roles = Roles()
    """Which tensors are statistics or averages; all others are weights."""

    @property
    def required(self) -> tuple[str, ...]:  # type: ignore[override]
        """The canonical names of the packages in `requires`, in ascending order."""
        return required_names(self.requires)

    @property
    def tensor_roles(self) -> Roles:
        """The field."""
        return self.roles

    @model_validator(mode="after")
    def _averages_are_apart(self) -> Self:
        averages = self.roles.averages
        for average in averages:
            others = [other.name for other in averages if other is not average]
            if (
                not average.name
                or _lies_in(average.name, others)
                or _lies_in(average.of, [average.name, *others])
            ):
                raise ValueError(
                    f"roles.averages: {average.name!r} is the average of {average.of!r}; an average needs a name of "
                    f"its own, and neither it nor what it is of may lie in an average"
                )
        return self


def _lies_in(part: str, averages: Iterable[str]) -> bool:
    return any(f"{part}.".startswith(f"{average}.") for average in averages)


class ModuleLearner(CodeLearner):
    """Any PyTorch model: code with a `TorchLearner` (`fl_node.learning`)."""

    kind: Literal["module"] = "module"
    batch: Annotated[int, Field(ge=1, le=65_536)] = 32
    """Examples per step."""
    body: Annotated[tuple[str, ...], Field(min_length=1)] = ("*",)  # type: ignore[misc]
    """Patterns over tensor names: what the preset `fedper` shares."""

    def objection_to(self, strategy: Strategy) -> str | None:
        """Two streams compare features of pictures, and a node runs the code once."""
        if isinstance(strategy.train, TwoStream):
            return "train: two_stream compares the features of pictures, which this learner does not give"
        if not strategy.work.devices == strategy.work.edge_rounds == 1:
            return "work: each device would run the code in a process of its own: use devices = 1 and edge_rounds = 1"
        return None


class Losses(Section):
    """Which of a Flower app's metrics are the two losses on chain; one that is not named is 0."""

    training: RecordName | None = None
    held_out: RecordName | None = None


class FlowerLearner(CodeLearner):
    """A Flower `ClientApp`, unmodified: it trains as it likes, an epoch or whatever its `run_config` says."""

    kind: Literal["flower"] = "flower"
    body: ClassVar[tuple[str, ...]] = ("*",)
    optimiser_state: Literal["kept"] = "kept"
    """The app's own affair: its `Context` goes on from round to round."""
    losses: Losses = Losses()

    def objection_to(self, strategy: Strategy) -> str | None:
        """The app alone decides how it trains, and answers with all of the model."""
        if not isinstance(strategy.train, Plain):
            return f"train: a Flower app trains in its own way, so {strategy.train.kind} cannot change it: use plain"
        if strategy.work != Work(epochs=1):
            return (
                "work: a Flower app decides itself how much it trains: use epochs = 1 alone, and say the rest "
                "in learner.knobs"
            )
        if strategy.share.average != ("*",):
            return 'share: a Flower app answers with all of its model: use ["*"]'
        return None
