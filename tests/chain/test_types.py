"""The Python mirrors against the compiled interface: names, order and types."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from chain import errors
from chain.acts import Act
from chain.artifact import load_artifact
from chain.errors import CallRejected, UnknownRejection
from chain.history import ARGUMENTS, EVENTS, REVEAL, TERMS
from chain.types import Phase, Reveal, TaskState, Terms

ABI = load_artifact().abi
ENUM = "enum ITrainingLedger.Phase"
INTERFACE = Path(__file__).parents[2] / "contracts" / "ITrainingLedger.sol"


def items(kind: str) -> dict[str, list[dict]]:
    return {item["name"]: item.get("inputs", []) for item in ABI if item["type"] == kind}


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def names(arguments: list[dict]) -> list[str]:
    return [snake(argument["name"]) for argument in arguments]


def types(arguments: list[dict]) -> tuple[str, ...]:
    """The ABI types, with structs spelt out."""
    return tuple(
        f"({','.join(types(argument['components']))})" if "components" in argument
        else argument["type"]
        for argument in arguments
    )  # fmt: skip


def struct(name: str) -> list[dict]:
    """The fields of a struct, from the first argument or result that has its type."""
    arguments = [a for item in ABI for a in item.get("inputs", []) + item.get("outputs", [])]
    inner = [component for a in arguments for component in a.get("components", [])]
    wanted = f"struct ITrainingLedger.{name}"
    return next(
        a["components"] for a in arguments + inner if a["internalType"].removesuffix("[]") == wanted
    )


def test_every_event_of_the_contract_is_mirrored() -> None:
    assert set(EVENTS) == set(items("event"))


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_events_have_the_contracts_arguments(name: str) -> None:
    arguments = items("event")[name]
    assert [field.name for field in fields(EVENTS[name])] == names(arguments)
    assert ARGUMENTS[EVENTS[name]] == types(arguments)


@pytest.mark.parametrize("mirror", [Terms, Reveal, Act, TaskState])
def test_structs_have_the_contracts_fields(mirror: type) -> None:
    assert [field.name for field in fields(mirror)] == names(struct(mirror.__name__))


def test_struct_types_are_the_contracts() -> None:
    assert f"({','.join(types(struct('Terms')))})" == TERMS
    assert f"({','.join(types(struct('Reveal')))})" == REVEAL


def test_every_error_of_the_contract_is_mirrored() -> None:
    mirrored = {error.__name__ for error in CallRejected.__subclasses__()}
    own = set(items("error"))
    assert mirrored - {UnknownRejection.__name__} == own


@pytest.mark.parametrize("name", sorted(e.__name__ for e in CallRejected.__subclasses__()))
def test_errors_have_the_contracts_fields(name: str) -> None:
    arguments = items("error").get(name, [{"name": "reason"}])
    assert [field.name for field in fields(getattr(errors, name))] == names(arguments)


def test_phases_are_in_the_contracts_order() -> None:
    body = re.search(r"enum Phase \{(.*?)\}", INTERFACE.read_text("utf-8"), re.DOTALL)
    assert body is not None
    declared = [name.strip().upper() for name in body[1].split(",")]
    assert declared == [phase.name for phase in Phase]
