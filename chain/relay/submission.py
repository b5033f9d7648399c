"""What a member hands to a relay: a signed act, and the turn in which the member believes the task to be.

On the wire it is one object of JSON, such as

    {"task": 1, "round": 2, "attempt": 0, "member": "0x...", "call": "0x...", "r": "0x...", "vs": "0x..."}

A relay carries what `chain.acts` lists, and `advance`, which the contract takes from anyone. Every act is signed here,
also those two that the contract takes without a signature (`reveal` and `advance`): otherwise strangers could make the
relay spend its gas.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from chain import answers
from chain.abi import encode_call
from chain.accounts import Signer
from chain.acts import Act, Relayed, act_signer, read_call, sign_call, write_call
from chain.errors import ActInvalid
from chain.types import Address

MAX_BODY_BYTES = 4096
"""The longest submission that is read; a genuine one has up to 800 bytes."""

Carried = Relayed | Literal["advance"]
"""The functions whose calls a relay carries."""

ROUNDS = 1 << 16
TASKS = 1 << 53
"""Tasks' numbers are JSON numbers, which are exact up to here."""


@dataclass(frozen=True, slots=True)
class Submission:
    """A signed act of a task. `function` is the one that its call names, whose arguments fit the task and the round."""

    task: int
    round: int
    attempt: int
    function: Carried
    act: Act

    @property
    def id(self) -> bytes:
        """32 bytes that name this act of this turn, whatever its signature."""
        types = ("uint256", "uint16", "uint16", "address", "bytes")
        where = (self.task, self.round, self.attempt)
        return keccak(encode(types, (*where, self.act.member, self.act.call)))

    def is_signed(self, chain_id: int, contract: Address) -> bool:
        """Whether the member signed this call for this round and attempt."""
        signer = act_signer(chain_id, contract, self.round, self.attempt, self.act)
        return signer == self.act.member


def sign_submission(
    signer: Signer,
    chain_id: int,
    contract: Address,
    turn: tuple[int, int, int],
    function: Carried,
    *arguments: Any,
) -> Submission:
    """Sign a call.

    Args:
        turn: Task, round and attempt.
        function: What is called.
        arguments: What the `Ledger`'s method of this name takes after the task.
    """
    task, round, attempt = turn
    call = _advance(task) if function == "advance" else write_call(function, task, *arguments)
    act = sign_call(signer, chain_id, contract, round, attempt, call)
    return Submission(task, round, attempt, function, act)


def submission_to_json(submission: Submission) -> bytes:
    """The submission as it is sent."""
    act = submission.act
    return json.dumps(
        {
            "task": submission.task,
            "round": submission.round,
            "attempt": submission.attempt,
            "member": act.member,
            "call": "0x" + act.call.hex(),
            "r": "0x" + act.r.hex(),
            "vs": "0x" + act.vs.hex(),
        }
    ).encode()


def read_submission(body: bytes) -> Submission:
    """Parse what anybody may have sent.

    Raises:
        ActInvalid: It is no submission; the message says what is wrong.
    """
    try:
        return _read(body)
    except ValueError as error:
        raise ActInvalid(str(error)) from None


def _read(body: bytes) -> Submission:
    if len(body) > MAX_BODY_BYTES:
        raise ValueError(f"an act has at most {MAX_BODY_BYTES} bytes, this has {len(body)}")
    fields = answers.parse_json(body)
    wanted = {"task", "round", "attempt", "member", "call", "r", "vs"}
    if not isinstance(fields, dict) or fields.keys() != wanted:
        raise ValueError(f"expected an object with the fields {', '.join(sorted(wanted))}")
    act = Act(
        answers.address(fields["member"]),
        answers.data(fields["call"]),
        answers.word(fields["r"]),
        answers.word(fields["vs"]),
    )
    task, round, attempt = (
        answers.quantity(fields["task"], TASKS),
        answers.quantity(fields["round"], ROUNDS),
        answers.quantity(fields["attempt"], ROUNDS),
    )
    return Submission(task, round, attempt, _function(act.call, task, round), act)


def _function(call: bytes, task: int, round: int) -> Carried:
    """The function that a call names; its arguments are of this task and round."""
    if call == _advance(task):
        return "advance"
    read = read_call(call)
    if read.task != task or read.arguments[:1] not in ((), (round,)):
        raise ValueError(f"the call is of another task or round than {task} and {round}")
    return read.name


def _advance(task: int) -> bytes:
    return encode_call("advance", (task,))
