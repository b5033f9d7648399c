"""What a relay says of itself, for members who are about to depend on it. Nobody has to believe it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chain import answers
from chain.types import Address

MAX_TASKS = 1000


@dataclass(frozen=True, slots=True)
class Health:
    """What a relay serves, and what it may still spend.

    Attributes:
        chain_id, contract: Where it sends acts.
        account: Pays.
        tasks: The tasks whose members it serves, and the gas spent on each so far.
        waiting: How many acts are at hand.
        gas_per_task: The most gas for a task, in all.
        gas_today, gas_per_day: The gas spent since midnight UTC, and the most in a day.
    """

    chain_id: int
    contract: Address
    account: Address
    tasks: Mapping[int, int]
    waiting: int
    gas_per_task: int
    gas_today: int
    gas_per_day: int


def health_to_json(health: Health) -> bytes:
    """The answer to whoever asks how the relay is."""
    return json.dumps(
        {
            "chain_id": health.chain_id,
            "contract": health.contract,
            "account": health.account,
            "tasks": {str(task): gas for task, gas in health.tasks.items()},
            "waiting": health.waiting,
            "gas_per_task": health.gas_per_task,
            "gas_today": health.gas_today,
            "gas_per_day": health.gas_per_day,
        }
    ).encode()


def read_health(body: bytes) -> Health:
    """Parse a relay's answer.

    Raises:
        ValueError: It is none.
    """
    fields = answers.parse_json(body)
    if not isinstance(fields, dict):
        raise ValueError("expected an object")
    return Health(
        chain_id=_number(fields, "chain_id"),
        contract=answers.address(fields.get("contract")),
        account=answers.address(fields.get("account")),
        tasks=_tasks(fields.get("tasks")),
        waiting=_number(fields, "waiting"),
        gas_per_task=_number(fields, "gas_per_task"),
        gas_today=_number(fields, "gas_today"),
        gas_per_day=_number(fields, "gas_per_day"),
    )


def _tasks(value: Any) -> dict[int, int]:
    if not isinstance(value, dict) or len(value) > MAX_TASKS:
        raise ValueError(f"expected an object of at most {MAX_TASKS} tasks")
    if not all(name.isascii() and name.isdigit() and len(name) < 20 for name in value):
        raise ValueError("expected the tasks' numbers")
    return {int(name): _number(value, name) for name in value}


def _number(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if type(value) is not int or not 0 <= value < 1 << 64:
        raise ValueError(f"expected a whole number in {name}")
    return value
