"""state.json: whose history it is, and what the contract's view shows of it (docs/protocol.md, "Bundle")."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from chain import answers
from chain.decoding import task_state_from
from chain.errors import HistoryInvalid
from chain.text import shown
from chain.types import Address, TaskState, Terms
from fl_node.blobs.canonical import canonical_json, parse_json
from fl_node.errors import BundleInvalid

MAX_STATE_BYTES = 1 << 14

KEYS = {"chain_id", "contract", "head", "task", "view"}
WORDS = {"manifest_digest", "genesis_digest", "parent_digest"}
VIEW = [field.name for field in fields(TaskState) if field.name != "history_head"]
TERMS = [field.name for field in fields(Terms)]
BITS = {
    "member_count": 8, "phase": 8, "round": 16, "attempt": 16, "deadline": 32, "lead_votes": 8,
    "cohort": 96, "awaited": 96, "committed": 96, "revealed": 96, "absent": 96,
    "rounds": 16, "commit_window": 24, "reveal_window": 24, "attest_window": 24,
    "cohort_fraction": 16, "cohort_floor": 8, "min_updates": 8, "quorum": 16,
}  # fmt: skip
"""How large the contract's type of each number is (ITrainingLedger.sol)."""


@dataclass(frozen=True, slots=True)
class RecordedState:
    """A task's state in a contract on a chain, at one moment.

    Attributes:
        chain_id: The chain (EIP-155).
        contract: The contract's address.
        task: The task's number.
        view: What `taskState` returned; its history head is the one that the log must lead to.
    """

    chain_id: int
    contract: Address
    task: int
    view: TaskState


def state_to_json(state: RecordedState) -> bytes:
    """Encode a state as state.json."""
    view = {name: _to_json(value) for name, value in asdict(state.view).items()}
    return canonical_json(
        {
            "chain_id": state.chain_id,
            "contract": state.contract,
            "head": view.pop("history_head"),
            "task": state.task,
            "view": view,
        }
    )


def read_state(content: bytes) -> RecordedState:
    """Decode a state.json that somebody else wrote.

    Args:
        content: Anything.

    Raises:
        BundleInvalid: It is not the one spelling of a state that a task can be in; the message names the field.
    """
    if len(content) > MAX_STATE_BYTES:
        raise BundleInvalid(f"state.json: {len(content)} bytes, at most {MAX_STATE_BYTES}")
    try:
        state = _from_json(parse_json(content.decode()))
    except (ValueError, HistoryInvalid) as error:
        raise BundleInvalid(f"state.json: {shown(error)}") from None
    if state_to_json(state) != content:
        raise BundleInvalid("state.json: not spelt as the specification says")
    return state


def _to_json(value: Any) -> Any:
    return "0x" + value.hex() if isinstance(value, bytes) else value


def _from_json(value: Any) -> RecordedState:
    whole = _fields("state", value, KEYS)
    view = _fields("view", whole["view"], set(VIEW))
    terms = _fields("terms", view["terms"], set(TERMS))
    values = [_value(name, view[name]) for name in VIEW if name != "terms"]
    values.insert(VIEW.index("terms"), [_value(name, terms[name]) for name in TERMS])
    return RecordedState(
        chain_id=answers.chain_id(whole["chain_id"]),
        contract=answers.address(whole["contract"]),
        task=answers.quantity(whole["task"], 1 << 256),
        view=task_state_from([*values, answers.word(whole["head"])]),
    )


def _fields(what: str, value: Any, names: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != names:
        raise ValueError(f"{what}: expected an object with {', '.join(sorted(names))}")
    return value


def _value(name: str, value: object) -> object:
    try:
        if name == "coordinator":
            return answers.address(value)
        return answers.word(value) if name in WORDS else answers.quantity(value, 1 << BITS[name])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
