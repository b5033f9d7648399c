"""What members measured, for somebody who looks without an audit: the same means, or nothing."""

from __future__ import annotations

import pytest
from doubles import STATING, Federation, run, small_manifest

from fl_node.audit import audit
from fl_node.blobs.metrics import metrics_to_json
from fl_node.blobs.store import Store, key_of
from fl_node.errors import StoreUnusable
from fl_node.history.record import RecordedRound, final_rounds
from fl_node.round.measured import MeasuredRound, measured_rounds


def audited(federation: Federation):
    return audit(lambda: federation.ledger, federation.store, federation.task).rounds


def remove(federation: Federation, digest: str) -> None:
    path = federation.folder / "store" / key_of(bytes.fromhex(digest))
    path.chmod(0o600)
    path.unlink()


def rounds(federation: Federation) -> list[MeasuredRound]:
    state = federation.ledger.task_state(federation.task)
    return measured_rounds(federation.store, state, finals(federation))


def finals(federation: Federation) -> list[RecordedRound]:
    return list(final_rounds(federation.ledger.history(federation.task)))


def test_the_means_are_the_audits(measuring):
    known = [(one.round, one.metrics) for one in audited(measuring)]
    looked = [(one.round, metrics_to_json(one.metrics)) for one in rounds(measuring)]
    assert looked == known


def test_a_round_with_a_missing_update_is_left_out(measuring):
    remove(measuring, audited(measuring)[0].updates[1].digest)
    assert [one.round for one in rounds(measuring)] == [2]


@pytest.mark.parametrize("blob", ["manifest_digest", "genesis_digest"])
def test_without_manifest_or_genesis_nothing_is_shown(measuring, blob):
    state = measuring.ledger.task_state(measuring.task)
    remove(measuring, getattr(state, blob).hex())
    assert rounds(measuring) == []


def test_of_a_task_that_measures_nothing_no_model_is_read(federation):
    run(federation)
    remove(federation, federation.ledger.task_state(federation.task).genesis_digest.hex())
    assert rounds(federation) == []


def test_before_the_first_final_round_there_is_nothing(federate):
    assert rounds(federate(small_manifest(learner=STATING))) == []


class Flaky:
    """A store that is reached a number of times, and then no more."""

    def __init__(self, store: Store, times: int) -> None:
        self.store, self.times = store, times

    def get(self, digest: bytes, max_bytes: int) -> memoryview:
        self.times -= 1
        if self.times < 0:
            raise StoreUnusable("no route to it")
        return self.store.get(digest, max_bytes)


@pytest.mark.parametrize(("times", "seen"), [(0, []), (1, []), (4, []), (5, [1]), (8, [1, 2])])
def test_a_store_that_cannot_be_reached_shows_what_it_showed(measuring, times, seen):
    state = measuring.ledger.task_state(measuring.task)
    looked = measured_rounds(Flaky(measuring.store, times), state, finals(measuring))
    assert [one.round for one in looked] == seen
