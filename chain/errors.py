"""What can go wrong between Python and the ledger.

LedgerError
├── LedgerUnusable          the caller, the node or the set-up is at fault
│   ├── EndpointInvalid       not the URL of an endpoint
│   ├── ChainUnreachable      no answer at the endpoint
│   │   └── RelayUnusable         a relay does not carry out an act, and the account cannot pay for it
│   ├── ChainRefused          the node refused, for now
│   ├── TransactionFailed     failed in its block, but would succeed now
│   ├── ChainMismatch         another chain id than expected
│   ├── ContractMismatch      no code, or other code, at the address
│   ├── AccountUnusable       bad keystore or password, no funds
│   ├── DeploymentInvalid     a deployment.json that cannot be read
│   ├── FileUnusable          a file is missing, not a regular one, or too long
│   ├── DevnetUnusable        its database or port is taken, or its engine is not installed
│   └── CompilerUnusable      solc missing or failing
├── CallRejected            the contract refused the call; one class for each error of ITrainingLedger
│   ├── TaskUnknown, TermsInvalid, MemberCountInvalid, ...
│   └── UnknownRejection      reverted without a reason this version knows
├── HistoryInvalid          the ledger's answers contradict each other
├── ProofInvalid            what is said to prove that a block holds a history head does not
└── ActInvalid              what a member is said to have signed is no act
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from chain.types import Address, Phase


class LedgerError(Exception):
    """Base of everything this package raises."""


class LedgerUnusable(LedgerError):
    """The caller, the node or the set-up is at fault."""


class EndpointInvalid(LedgerUnusable):
    """The text is not the http:// or https:// URL of an endpoint."""


class ChainUnreachable(LedgerUnusable):
    """The endpoint gave no JSON-RPC answer. It may still have received the request."""


class RelayUnusable(ChainUnreachable):
    """The relay does not take an act, or has not carried it out, and the account cannot pay for a direct call."""


class ChainRefused(LedgerUnusable):
    """The node answered with a refusal of its own, which may pass."""


class TransactionFailed(LedgerUnusable):
    """A transaction failed in its block for a reason that has passed: read the state, and send again if needed."""


class ChainMismatch(LedgerUnusable):
    """The endpoint serves another chain than expected."""


class ContractMismatch(LedgerUnusable):
    """The code at the address is not the committed contract."""


class AccountUnusable(LedgerUnusable):
    """The account cannot sign or cannot pay."""


class DeploymentInvalid(LedgerUnusable):
    """The file that says where the contract is cannot be read or written."""


class FileUnusable(LedgerUnusable):
    """A file does not exist, is not a regular file, is too long, or cannot be read."""


class DevnetUnusable(LedgerUnusable):
    """The devnet's database or port is taken, or its engine is not installed."""


class CompilerUnusable(LedgerUnusable):
    """solc is missing or failed."""


class HistoryInvalid(LedgerError):
    """The ledger's answers contradict each other."""


class ProofInvalid(LedgerError):
    """What is said to prove that a block holds a history head does not prove it."""


class ActInvalid(LedgerError):
    """What a member is said to have signed is not an act that could be relayed."""


@dataclass(eq=True)
class CallRejected(LedgerError):
    """The contract refused the call. Each subclass mirrors one error of ITrainingLedger, field for field."""

    def __str__(self) -> str:
        # Not `vars`: code that passes an exception on may have added attributes to it.
        named = ((field.name, getattr(self, field.name)) for field in fields(self))
        shown = ", ".join(f"{name}={_readable(value)}" for name, value in named)
        return f"{type(self).__name__}({shown})"


def _readable(value: object) -> str:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return value.name if isinstance(value, Phase) else str(value)


@dataclass(eq=True)
class UnknownRejection(CallRejected):
    """Reverted for a reason this version does not know: `reason` is what the chain said."""

    reason: str


@dataclass(eq=True)
class TaskUnknown(CallRejected):
    task: int


@dataclass(eq=True)
class TermsInvalid(CallRejected):
    field: int
    value: int


@dataclass(eq=True)
class MemberCountInvalid(CallRejected):
    count: int


@dataclass(eq=True)
class MembersUnordered(CallRejected):
    member: Address


@dataclass(eq=True)
class DigestMissing(CallRejected):
    pass


@dataclass(eq=True)
class MemberUnknown(CallRejected):
    task: int
    caller: Address


@dataclass(eq=True)
class PhaseMismatch(CallRejected):
    expected: Phase
    actual: Phase


@dataclass(eq=True)
class RoundMismatch(CallRejected):
    expected: int
    actual: int


@dataclass(eq=True)
class NotAwaited(CallRejected):
    caller: Address


@dataclass(eq=True)
class DeadlinePassed(CallRejected):
    deadline: int


@dataclass(eq=True)
class DeadlineAhead(CallRejected):
    deadline: int


@dataclass(eq=True)
class DeadlineInvalid(CallRejected):
    deadline: int


@dataclass(eq=True)
class CommitmentMissing(CallRejected):
    pass


@dataclass(eq=True)
class CommitmentMismatch(CallRejected):
    expected: bytes
    actual: bytes


@dataclass(eq=True)
class ExamplesMissing(CallRejected):
    pass


@dataclass(eq=True)
class IncludedInvalid(CallRejected):
    included: int
    revealed: int


@dataclass(eq=True)
class AggregateInvalid(CallRejected):
    aggregate_digest: bytes


@dataclass(eq=True)
class NotAbsent(CallRejected):
    caller: Address
