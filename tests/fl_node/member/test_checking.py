"""A node that did not attest to a round computes it again before it trains on the result."""

from __future__ import annotations

import numpy as np
import pytest
from doubles import MEMBERS, Federation

from chain.errors import HistoryInvalid
from chain.types import Entry, Phase, RoundFinalised, UpdateRevealed
from fl_node.blobs.model import decode_model, encode_model
from fl_node.blobs.store import key_of
from fl_node.errors import BlobMissing, BlobTampered, ModelDisputed
from fl_node.member.next_action import Action

LATE = MEMBERS[2]


def until_attest(federation: Federation) -> None:
    """All three reveal; the first two have yet to attest."""
    while federation.ledger.task_state(federation.task).phase is not Phase.ATTEST:
        for member in MEMBERS:
            if federation.ledger.task_state(federation.task).phase is not Phase.ATTEST:
                federation.start(member).step()


def end_honestly(federation: Federation) -> bytes:
    """The first two attest, which is a quorum; the digest of the model."""
    until_attest(federation)
    for member in MEMBERS[:2]:
        federation.start(member).step()
    state = federation.ledger.task_state(federation.task)
    assert (state.round, state.phase) == (2, Phase.COMMIT)
    return state.parent_digest


def planted(federation: Federation, included: int = 0b111) -> bytes:
    """The first two agree on a model of their own making; its digest."""
    until_attest(federation)
    state = federation.ledger.task_state(federation.task)
    genesis = decode_model(federation.store.get(state.parent_digest, 1 << 20))
    model = {name: np.asarray(array + 1, array.dtype) for name, array in genesis.items()}
    digest = federation.store.put(encode_model(model))
    for member in MEMBERS[:2]:
        federation.ledger.acting_as(member).attest(federation.task, 1, digest, included)
    return digest


def store_path(federation: Federation, digest: bytes):
    return federation.folder / "store" / key_of(digest)


def revealed_by(federation: Federation, member: str) -> bytes:
    events = [entry.event for entry in federation.ledger.history(federation.task)]
    return next(
        event.reveal.update_digest
        for event in events
        if isinstance(event, UpdateRevealed) and event.client == member
    )


class TestHonestRounds:
    def test_it_goes_on(self, federation: Federation) -> None:
        end_honestly(federation)
        assert federation.start(LATE).step().action is Action.COMMIT

    def test_it_needs_no_aggregate_for_that_and_stores_its_own(
        self, federation: Federation
    ) -> None:
        """Whoever was to store it has died, or somebody has deleted it."""
        model = end_honestly(federation)
        store_path(federation, model).unlink(missing_ok=True)
        node = federation.start(LATE)
        assert node.step().action is Action.COMMIT
        node.step()
        federation.clock.time += 100
        node.step()
        assert federation.store.get(model, 1 << 20)

    def test_it_does_that_once(self, federation: Federation) -> None:
        end_honestly(federation)
        federation.start(LATE).step()
        for member in MEMBERS[:2]:
            store_path(federation, revealed_by(federation, member)).unlink()
        for member in MEMBERS[:2]:
            federation.start(member).step()
        step = federation.start(
            LATE
        ).step()  # started anew: it reveals, and could no longer compute
        assert (step.action, step.receipt is not None) == (Action.REVEAL, True)

    def test_what_was_left_out_does_not_matter_to_it(self, federation: Federation) -> None:
        """An update that was missing when others looked, and appeared afterwards, cannot stop it."""
        until_attest(federation)
        path = store_path(federation, revealed_by(federation, LATE))
        withheld = path.read_bytes()
        path.unlink()
        for member in MEMBERS[:2]:
            federation.start(member).step()
        path.write_bytes(withheld)
        assert federation.start(LATE).step().action is Action.COMMIT

    def test_an_included_update_that_is_gone_is_waited_for(self, federation: Federation) -> None:
        end_honestly(federation)
        path = store_path(federation, revealed_by(federation, MEMBERS[0]))
        blob = path.read_bytes()
        path.unlink()
        node = federation.start(LATE)
        with pytest.raises(BlobMissing, match=f"the update of {MEMBERS[0]} in round 1"):
            node.step()
        path.write_bytes(b"x" * len(blob))
        with pytest.raises(BlobTampered):
            node.step()
        path.write_bytes(blob)
        assert node.step().action is Action.COMMIT

    def test_a_log_that_lags_behind_is_waited_for(self, federation: Federation) -> None:
        end_honestly(federation)

        class Lagging:
            def __getattr__(self, name: str) -> object:
                return getattr(federation.ledger.acting_as(LATE), name)

            def history(self, task: int, first_block: int = 0) -> list[Entry]:
                entries = federation.ledger.history(task, first_block)
                return [entry for entry in entries if not isinstance(entry.event, RoundFinalised)]

        with pytest.raises(HistoryInvalid):
            federation.start(LATE, ledger=Lagging()).step()


class TestADishonestMajority:
    def test_a_planted_model_is_not_trained_on(self, federation: Federation) -> None:
        digest = planted(federation)
        with pytest.raises(
            ModelDisputed, match="round 1 is final with a model that its 3"
        ) as caught:
            federation.start(LATE).step()
        assert digest.hex() in str(caught.value)
        assert federation.learners[LATE].trained == 1

    def test_nor_by_a_member_that_attested_to_another(self, federation: Federation) -> None:
        """The quorum is theirs, the honest member's own vote notwithstanding."""
        until_attest(federation)
        federation.start(LATE).step()
        planted(federation)
        with pytest.raises(ModelDisputed):
            federation.start(LATE).step()
