"""Which model of which history a file is, read from a ledger and a store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from doubles import Federation, federation_in, run, small_manifest

from chain.types import Address, Entry, TaskState
from fl_node.blobs.digest import digest_of
from fl_node.blobs.model import decode_model
from fl_node.errors import AuditImpossible, BlobMissing, Misuse
from fl_node.provenance.claim import claim_of, is_file_of, model_file


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    """A finished task of two rounds without server state."""
    made = federation_in(tmp_path)
    run(made)
    return made


class Altered:
    """A ledger's reading side, with another log."""

    def __init__(self, federation: Federation, entries: Iterable[Entry]) -> None:
        self._ledger, self._entries = federation.ledger, entries

    @property
    def chain_id(self) -> int:
        return self._ledger.chain_id

    @property
    def contract(self) -> Address:
        return self._ledger.contract

    def task_state(self, task: int) -> TaskState:
        return self._ledger.task_state(task)

    def history(self, task: int, from_block: int = 0) -> Iterable[Entry]:
        return self._entries

    def gas_used(self, transaction: bytes) -> int:
        return 0


def test_the_last_final_round_is_claimed_unless_another_is_named(federation: Federation) -> None:
    state = federation.ledger.task_state(federation.task)
    last = claim_of(federation.ledger, federation.task)
    assert (last.round, last.model_digest) == (2, state.parent_digest)
    assert last.history_head == state.history_head
    assert claim_of(federation.ledger, federation.task, 2) == last
    genesis = claim_of(federation.ledger, federation.task, 0)
    assert genesis.model_digest == state.genesis_digest


@pytest.mark.parametrize("round", [-1, 3, 1 << 40])
def test_a_round_that_is_not_final_is_misuse(federation: Federation, round: int) -> None:
    with pytest.raises(Misuse, match="the last final round is 2"):
        claim_of(federation.ledger, federation.task, round)


def test_without_server_state_the_file_is_the_blob(federation: Federation) -> None:
    claim = claim_of(federation.ledger, federation.task)
    model = model_file(federation.ledger, federation.store, claim)
    assert digest_of(model) == claim.model_digest


def test_with_server_state_the_file_is_the_rest_of_the_blob(tmp_path: Path) -> None:
    federation = federation_in(tmp_path, small_manifest(strategy={"combine": "momentum"}))
    digest = run(federation)
    claim = claim_of(federation.ledger, federation.task)
    model = model_file(federation.ledger, federation.store, claim)
    blob = federation.store.get(digest, 1 << 20)
    assert digest_of(model) != claim.model_digest == digest
    assert {name for name in decode_model(blob) if not name.startswith("server.")} == {
        *decode_model(model)
    }
    assert is_file_of(model, claim, model)
    assert is_file_of(blob, claim, model)
    assert not is_file_of(bytes(model) + b"\0", claim, model)


def test_a_log_that_goes_on_since_the_head_was_read_is_read_to_the_head(
    federation: Federation,
) -> None:
    entries = list(federation.ledger.history(federation.task))
    longer = Altered(federation, [*entries, entries[-1]])
    assert claim_of(longer, federation.task) == claim_of(federation.ledger, federation.task)


def test_a_log_that_does_not_lead_to_the_head_is_refused(federation: Federation) -> None:
    entries = list(federation.ledger.history(federation.task))
    for log in ([], entries[:-1], entries[1:], [*entries[:-2], entries[-1], entries[-2]]):
        with pytest.raises(AuditImpossible, match="does not lead to the history head"):
            claim_of(Altered(federation, log), federation.task)


def test_a_model_that_is_not_in_the_store_is_bad_data(federation: Federation) -> None:
    claim = claim_of(federation.ledger, federation.task)
    with pytest.raises(BlobMissing):
        model_file(federation.ledger, federation.store, replace(claim, model_digest=bytes(32)))
