"""A task's history, played call by call on the rules in memory, with the blobs that belong to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from chain.history import commitment_of
from chain.memory_ledger import CHAIN_ID, CONTRACT, MemoryLedger
from chain.types import (
    Address,
    Entry,
    Phase,
    Reveal,
    TaskState,
    Terms,
    UpdateRevealed,
)
from fl_node.arrays import Arrays
from fl_node.blobs.digest import digest_of
from fl_node.blobs.encoding import UpdateHeader, encode_update, encoding_seed
from fl_node.blobs.model import Model, decode_model, encode_model
from fl_node.blobs.reader import verify_size
from fl_node.blobs.sealed import seal
from fl_node.errors import BlobMissing, BlobTampered
from fl_node.history.record import attempts_of_current_round, final_rounds
from fl_node.manifest.manifest import Manifest
from fl_node.round.aggregate import Aggregated, aggregate_round
from fl_node.strategy.encode import encode_arrays

COORDINATOR = Address("0x000000000000000000000000000000000000dEaD")
BEGIN = 1_700_000_000
TICK = 1
"""Seconds from one call to the next."""
LATE = 1_000_000
"""Seconds after which any deadline of the samples has passed."""


NOTHING: Arrays = {}


@dataclass(frozen=True)
class Sent:
    """What a member commits to and reveals.

    Attributes:
        blob: The update as it goes into the store.
        examples, training_loss, held_out_loss, salt: Of the opening.
        lies: What lies in the store under the digest; None for nothing, and "blob" for the update itself.
    """

    blob: bytes
    examples: int = 10
    training_loss: int = 1_500_000
    held_out_loss: int = 700_000
    salt: bytes = bytes([4]) * 32
    lies: bytes | Literal["blob"] | None = "blob"

    @property
    def opening(self) -> Reveal:
        digest = digest_of(self.blob)
        return Reveal(digest, self.examples, self.training_loss, self.held_out_loss, self.salt)


@dataclass
class History:
    """A task from its opening on.

    Attributes:
        manifest: The task's.
        genesis: All tensors of the state that it starts from.
        chain_id, contract: Where it runs.
        terms: Its terms on chain; None for the manifest's.
        members: Its members on chain; None for the manifest's.
        opened_with: The blobs of manifest and genesis that it is opened with; None for those of the two above.
    """

    manifest: Manifest
    genesis: Arrays
    chain_id: int = CHAIN_ID
    contract: Address = CONTRACT
    terms: Terms | None = None
    members: Sequence[Address] | None = None
    opened_with: Sequence[bytes] | None = None
    now: int = BEGIN
    blobs: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        site = {"chain_id": self.chain_id, "contract": self.contract}
        self.ledger = MemoryLedger(COORDINATOR, clock=lambda: self.now, **site)
        honest = (self.manifest.to_bytes(), encode_model(self.genesis))
        digests = [self.put(blob) for blob in self.opened_with or honest]
        members = self.members or self.manifest.addresses
        self.ledger.open_task(*digests, members, self.terms or self.manifest.terms())

    # ---------------------------------------------------------------------------- what is there

    def put(self, blob: bytes) -> bytes:
        """Put a blob into the store; its digest."""
        digest = digest_of(blob)
        self.blobs[digest.hex()] = blob
        return digest

    def get(self, digest: bytes, max_bytes: int) -> memoryview:
        """Read a blob, as `fl_node.blobs.reader.Reader` does."""
        name = digest.hex()
        if name not in self.blobs:
            raise BlobMissing(f"blob {name} is missing")
        blob = self.blobs[name]
        verify_size(name, len(blob), max_bytes)
        if digest_of(blob) != digest:
            raise BlobTampered(f"blob {name} is another")
        return memoryview(blob)

    @property
    def state(self) -> TaskState:
        """The task's state."""
        return self.ledger.task_state(1)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The task's log."""
        return tuple(self.ledger.history(1))

    @property
    def parent(self) -> Model:
        """The model that the round starts from."""
        digest = self.state.parent_digest
        return Model(digest, decode_model(self.blobs[digest.hex()]))

    def cohort(self) -> list[Address]:
        """Who was drawn, in ascending order."""
        members = self.members or self.manifest.addresses
        return [one for index, one in enumerate(members) if self.state.cohort >> index & 1]

    # ---------------------------------------------------------------------------- updates

    def header(self, client: Address, examples: int = 10, **changes: Any) -> UpdateHeader:
        """What an honest update of the round states; `changes` replace fields."""
        manifest, state = self.manifest, self.state
        honest = UpdateHeader(
            task=1,
            round=state.round,
            client=client,
            parent_digest=state.parent_digest,
            num_examples=examples,
            steps=5,
            codec=manifest.strategy.encode.label,
            seed=encoding_seed(manifest.seed, state.round, client),
        )
        return replace(honest, **changes)

    def update(
        self,
        client: Address,
        arrays: Arrays,
        examples: int = 10,
        plain: Arrays = NOTHING,
        **changes: Any,
    ) -> Sent:
        """An honest update: `arrays` through the manifest's codecs, and `plain` beside them."""
        header = self.header(client, examples, **changes)
        coded = encode_arrays(self.manifest.strategy.encode.stages, arrays, header.seed)
        return Sent(encode_update(header, {**coded, **plain}), examples)

    def sealed(self, sent: Sent, salt: bytes) -> Sent:
        """The same update, sealed with a salt."""
        return replace(sent, blob=seal(sent.blob, salt), salt=salt)

    # ---------------------------------------------------------------------------- calls

    def acting(self, member: Address) -> MemoryLedger:
        """The ledger as a member sees it, some seconds later."""
        self.now += TICK
        return self.ledger.acting_as(member)

    def commit(self, sent: Mapping[Address, Sent], missing: Sequence[Address] = ()) -> None:
        """Commit to updates; who was drawn and sends none declines, or is missing and does nothing."""
        round = self.state.round
        for client, one in sent.items():
            made = commitment_of(self.chain_id, self.contract, 1, round, client, one.opening)
            self.acting(client).commit(1, round, made)
        for member in self.cohort():
            if member not in sent and member not in missing:
                self.acting(member).skip(1, round)

    def reveal(self, sent: Mapping[Address, Sent]) -> None:
        """Reveal updates, and store them."""
        for client, one in sent.items():
            self.acting(client).reveal(1, self.state.round, one.opening)
            lies = one.blob if one.lies == "blob" else one.lies
            if lies is not None:
                self.blobs[digest_of(one.blob).hex()] = lies

    def send(self, sent: Mapping[Address, Sent]) -> None:
        """Commit to updates, and reveal them."""
        self.commit(sent)
        self.reveal(sent)

    def aggregate(self) -> Aggregated:
        """What the round comes to."""
        reveals, abandoned = self.reveals()
        return aggregate_round(self, self.manifest, self.parent, reveals, abandoned)

    def reveals(self) -> tuple[tuple[UpdateRevealed, ...], tuple[UpdateRevealed, ...]]:
        """The reveals of the attempt, and of those before it that were aborted."""
        attempts = attempts_of_current_round(self.entries)
        return attempts.reveals, attempts.abandoned

    @property
    def played_reveals(self) -> tuple[UpdateRevealed, ...]:
        """What the final rounds revealed, in the order of the log."""
        return tuple(one for final in final_rounds(self.entries) for one in final.reveals)

    def attest(self, digest: bytes, included: int, voters: Iterable[Address] | None = None) -> None:
        """Vote for a pair until it is final."""
        round = self.state.round
        for member in voters or self.cohort():
            if (self.state.round, self.state.phase) == (round, Phase.ATTEST):
                self.acting(member).attest(1, round, digest, included)

    def finish(self) -> None:
        """Aggregate the round, store what it comes to, and vote for it."""
        result = self.aggregate()
        self.attest(self.put(result.blob), result.included)

    def play(self, sent: Mapping[Address, Sent]) -> None:
        """A whole round."""
        self.send(sent)
        self.finish()

    def pass_deadline(self) -> None:
        """Go on without those who are awaited."""
        self.now += LATE
        self.ledger.advance(1)

    def abort(self) -> None:
        """Let deadlines pass until the next attempt is opened."""
        attempt = self.state.attempt
        while self.state.attempt == attempt:
            self.pass_deadline()

    def rejoin(self, member: Address) -> None:
        """Come back."""
        self.acting(member).rejoin(1)
