"""The attacker's tools: a contract to call by hand, and a member that sends what it likes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from doubles import GENESIS, MANIFEST, MEMBERS, MODEL, TERMS, Federation

from chain.accounts import Signer, address_of, dev_account
from chain.answers import anything
from chain.connection import connect
from chain.history import commitment_of
from chain.ledger import Ledger
from chain.types import Address, Event, Look, Phase, Reveal, RoundFinalised, TaskState, Terms
from chain.web3_ledger import Web3Ledger
from fl_node.audit import AuditReport, audit
from fl_node.audit.report import AuditedUpdate
from fl_node.blobs.digest import digest_of
from fl_node.blobs.encoding import UpdateHeader, encoding_seed
from fl_node.blobs.model import decode_model
from fl_node.member.next_action import Action

# ------------------------------------------------------------------------------------ on the contract

HONEST: list[Signer] = sorted(
    (dev_account(11, index) for index in range(3)), key=lambda signer: int(signer.address, 16)
)
STRANGER = dev_account(11, 3)
POOR = next(
    signer
    for signer in (dev_account(11, index) for index in range(4, 99))
    if int(signer.address, 16) > int(HONEST[1].address, 16)
)
"""Has no ether, and comes after the first two of the honest."""


@dataclass
class Contract:
    """The contract, as anybody may call it."""

    url: str
    address: Address
    _ledgers: dict[str, Web3Ledger] = field(default_factory=dict)

    def acting_as(self, signer: Signer) -> Web3Ledger:
        if signer.address not in self._ledgers:
            self._ledgers[signer.address] = Web3Ledger(self.url, self.address, signer)
        return self._ledgers[signer.address]

    def travel(self, seconds: int) -> None:
        connection = connect(self.url)
        connection.ask(anything, "evm_increaseTime", seconds)
        connection.ask(anything, "evm_mine")


class Rules(Protocol):
    """Whatever carries the protocol out: the contract, or its model in memory."""

    def acting_as(self, signer: Signer) -> Ledger: ...

    def travel(self, seconds: int) -> None: ...


class Stage:
    """A task of three members, opened by the first, and the calls that drive it."""

    def __init__(
        self, contract: Rules, terms: Terms = TERMS, signers: Sequence[Signer] = HONEST
    ) -> None:
        self.contract, self.signers = contract, signers
        self.members = [contract.acting_as(signer) for signer in signers]
        self.stranger = contract.acting_as(STRANGER)
        accounts = [address_of(signer) for signer in signers]
        opened = self.members[0].open_task(MANIFEST, GENESIS, accounts, terms)
        self.task = opened.entries[0].event.task

    @property
    def state(self) -> TaskState:
        return self.look.state

    @property
    def look(self) -> Look:
        return self.stranger.look(self.task)

    @property
    def events(self) -> list[Event]:
        return [entry.event for entry in self.stranger.history(self.task)]

    def opening(self, member: int) -> Reveal:
        return Reveal(bytes([10 + member]) * 32, 100, 5, 7, bytes([20 + member]) * 32)

    def commitment(self, member: int) -> bytes:
        ledger = self.members[member]
        place = (ledger.chain_id, ledger.contract, self.task, self.state.round, ledger.account)
        return commitment_of(*place, self.opening(member))

    def commit(self, *members: int) -> None:
        for member in members:
            self.members[member].commit(self.task, self.state.round, self.commitment(member))

    def reveal(self, *members: int) -> None:
        round = self.state.round
        for member in members:
            self.members[member].reveal(self.task, round, self.opening(member))

    def attest(self, *members: int, digest: bytes = MODEL, included: int = 0b111) -> None:
        round = self.state.round
        for member in members:
            self.members[member].attest(self.task, round, digest, included)

    def let_deadline_pass(self) -> None:
        look = self.look
        self.contract.travel(look.state.deadline - look.now + 1)


# ------------------------------------------------------------------------------------ among the nodes

HONEST_NODES, ATTACKER = MEMBERS[:2], MEMBERS[2]


def step_honest(federation: Federation, action: Action) -> None:
    """Let the honest nodes do the one thing that is next for both."""
    for member in HONEST_NODES:
        step = federation.start(member).step()
        assert (step.action, step.receipt is None) == (action, False)


def attackers_absence(federation: Federation) -> bytes:
    """A round that the attacker declines; its final digest."""
    federation.ledger.acting_as(ATTACKER).skip(federation.task, 1)
    for action in (Action.COMMIT, Action.REVEAL, Action.ATTEST):
        step_honest(federation, action)
    return last_final(federation).aggregate_digest


def header_of(federation: Federation, **changes: Any) -> UpdateHeader:
    """What the attacker's update should say of itself in this round, save for `changes`."""
    state = federation.ledger.task_state(federation.task)
    seed = encoding_seed(federation.manifest.seed, state.round, ATTACKER)
    place = (federation.task, state.round, ATTACKER, state.parent_digest)
    codec = federation.manifest.strategy.encode.label
    honest = UpdateHeader(*place, num_examples=20, steps=1, codec=codec, seed=seed)
    return replace(honest, **changes)


def arrays_of(federation: Federation) -> dict[str, np.ndarray[Any, Any]]:
    """Arrays that an update may hold."""
    genesis = federation.store.get(
        federation.ledger.task_state(federation.task).genesis_digest, 1 << 20
    )
    return {name: np.full_like(array, 0.5) for name, array in decode_model(genesis).items()}


def commit_to(federation: Federation, digest: bytes, num_examples: int = 20) -> Reveal:
    """Commit as the attacker; returns what opens the commitment."""
    ledger = federation.ledger.acting_as(ATTACKER)
    opening = Reveal(digest, num_examples, 0, 0, bytes(32))
    round = ledger.task_state(federation.task).round
    place = (ledger.chain_id, ledger.contract, federation.task, round, ATTACKER)
    ledger.commit(federation.task, round, commitment_of(*place, opening))
    return opening


def reveal_as_attacker(federation: Federation, opening: Reveal) -> None:
    state = federation.ledger.task_state(federation.task)
    federation.ledger.acting_as(ATTACKER).reveal(federation.task, state.round, opening)


def send(
    federation: Federation, blob: bytes, num_examples: int = 20, stored: bool = True
) -> RoundFinalised:
    """A round in which the attacker reveals `blob`, and two honest nodes do what they do; how it ended."""
    opening = commit_to(federation, digest_of(blob), num_examples)
    step_honest(federation, Action.COMMIT)
    if stored:
        federation.store.put(blob)
    reveal_as_attacker(federation, opening)
    step_honest(federation, Action.REVEAL)
    step_honest(federation, Action.ATTEST)
    return last_final(federation)


def last_final(federation: Federation) -> RoundFinalised:
    events = [entry.event for entry in federation.ledger.history(federation.task)]
    return [event for event in events if isinstance(event, RoundFinalised)][-1]


def goes_on(federation: Federation) -> bool:
    """Whether the next round is open."""
    state = federation.ledger.task_state(federation.task)
    return state.phase is Phase.COMMIT and state.round == last_final(federation).round + 1


def audit_of(federation: Federation, ledger: Any = None) -> AuditReport:
    return audit(lambda: ledger or federation.ledger, federation.store, federation.task)


def verdict_on_attacker(report: AuditReport) -> AuditedUpdate:
    """What the audit says of the attacker's update in the last round."""
    return next(update for update in report.rounds[-1].updates if update.client == ATTACKER)
