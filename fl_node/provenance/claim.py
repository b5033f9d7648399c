"""Which model of which history a file is: read from a ledger, and compared with the model's blob."""

from __future__ import annotations

from dataclasses import dataclass

from chain.history import log_to
from chain.ledger import LedgerReader
from chain.types import Address
from fl_node.blobs.digest import Blob, digest_of
from fl_node.blobs.global_state import model_of
from fl_node.blobs.model import decode_model, encode_model
from fl_node.blobs.reader import Reader
from fl_node.errors import AuditImpossible, Misuse
from fl_node.history.record import final_rounds
from fl_node.manifest.manifest import MAX_MANIFEST_BYTES, parse_manifest


@dataclass(frozen=True, slots=True)
class Claim:
    """One final model of a history.

    Attributes:
        chain_id: The chain (EIP-155).
        contract: The contract's address.
        task: The task's number.
        round: The final round that made the model; 0 is the genesis.
        model_digest: The sha256 of the model's blob, 32 bytes, as it is on chain.
        history_head: The head of a log in which the round is final, 32 bytes; the log may be longer.
    """

    chain_id: int
    contract: Address
    task: int
    round: int
    model_digest: bytes
    history_head: bytes


def claim_of(ledger: LedgerReader, task: int, round: int | None = None) -> Claim:
    """What a ledger says about a final model. The log must lead to the head that the ledger names.

    Args:
        ledger: A chain's, or a bundle's.
        task: The task's number.
        round: A final round, or 0 for the genesis; None for the last final one.

    Raises:
        Misuse: The round is not final.
        AuditImpossible: The log is not the one that the head stands for.
        LedgerError: The ledger cannot be read.
    """
    state = ledger.task_state(task)
    history = ledger.history(task)  # It may have gone on since the head was read.
    entries = log_to(state.history_head, ledger.chain_id, ledger.contract, task, history)
    if entries is None:
        raise AuditImpossible("the log does not lead to the history head; ganchor audit says more")
    aggregates = (final.finalised.aggregate_digest for final in final_rounds(entries))
    digests = [state.genesis_digest, *aggregates]
    chosen = len(digests) - 1 if round is None else round
    if not 0 <= chosen < len(digests):
        raise Misuse(f"round {chosen} is not final; the last final round is {len(digests) - 1}")
    return Claim(
        chain_id=ledger.chain_id,
        contract=ledger.contract,
        task=task,
        round=chosen,
        model_digest=digests[chosen],
        history_head=state.history_head,
    )


def model_file(ledger: LedgerReader, blobs: Reader, claim: Claim) -> Blob:
    """The safetensors file of a claimed model, without the server's state: what `ganchor weights` writes.

    Where the strategy keeps no server state, this is the model's blob itself, and its sha256 the digest on chain.

    Raises:
        BadData: The manifest's blob or the model's is missing, altered, or not one.
        StoreUnusable: The store cannot be read.
    """
    agreed = blobs.get(ledger.task_state(claim.task).manifest_digest, MAX_MANIFEST_BYTES)
    most = parse_manifest(bytes(agreed)).limits.model_bytes
    return encode_model(model_of(decode_model(blobs.get(claim.model_digest, most))))


def is_file_of(content: Blob, claim: Claim, model: Blob) -> bool:
    """Whether a file is the claimed model: its blob as it lies in the store, or the file `model` of `model_file`."""
    digest = digest_of(content)
    return digest in (claim.model_digest, digest_of(model))
