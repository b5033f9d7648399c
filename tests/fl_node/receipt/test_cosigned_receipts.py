"""A witness that is trusted takes the place of a head from elsewhere, if it signed after the round was final."""

from __future__ import annotations

from receipts import ANA, BEN, Played, opening, played

from chain.history import head_of
from fl_node.audit.cosignatures import NOBODY, Witnesses
from fl_node.receipt.checking import make_receipt
from fl_node.receipt.cosigned import check_cosigned
from fl_node.receipt.file import UpdateReceipt
from fl_node.witness.cosigning import cosign
from fl_node.witness.keys import WitnessKey, witness_key
from fl_node.witness.note import Checkpoint, Note

ALICE = witness_key("alice.example/witness", bytes(range(32)))
BOB = witness_key("bob.example/witness", bytes(32))
MALLORY = witness_key("alice.example/witness", bytes([9]) * 32)


def another() -> Played:
    """Another history of the same task: the same members, other updates."""
    task = Played()
    task.commit(1, {ANA: b"\xb1" * 32})
    task.reveal(1, {ANA: b"\xb1" * 32})
    task.attest(1, included=0b001)
    return task


def receipt_of(task: Played) -> UpdateReceipt:
    return make_receipt(task.state, task.entries, 1, ANA)


def signed(task: Played, key: WitnessKey = ALICE, events: int | None = None) -> Note:
    """What a witness signed that had seen so many events of a history; all if None."""
    entries = task.entries[:events]
    ledger = task.ledger
    head = head_of(ledger.chain_id, ledger.contract, 1, entries)
    point = Checkpoint(ledger.chain_id, ledger.contract, 1, len(entries), head)
    return Note(point, (cosign(point, key, 77),))


def findings(task: Played, *notes: Note, trusted: WitnessKey = ALICE) -> list[str]:
    _, found = check_cosigned(receipt_of(task), Witnesses((trusted.verifier,), notes))
    return found


def final_after(task: Played) -> int:
    """The number of events after which round 1 was final."""
    (number,) = (
        number
        for number, entry in enumerate(task.entries, start=1)
        if type(entry.event).__name__ == "RoundFinalised"
    )
    return number


class TestAWitnessThatSaw:
    def test_the_whole_log_vouches_for_it(self) -> None:
        task = played()
        cosigned, found = check_cosigned(
            receipt_of(task), Witnesses((ALICE.verifier,), (signed(task),))
        )
        assert found == []
        assert [(one.witness, one.events, one.checked) for one in cosigned] == [
            (ALICE.verifier.name, len(task.entries), True)
        ]

    def test_the_log_up_to_the_final_round_vouches_for_it(self) -> None:
        task = played()
        assert findings(task, signed(task, events=final_after(task))) == []

    def test_less_than_the_final_round_does_not(self) -> None:
        task = played()
        before = final_after(task) - 1
        assert findings(task, signed(task, events=before)) == [
            "none of the given witnesses has cosigned round 1: "
            f"it was not final after event {before}, the last that they signed"
        ]
        assert findings(task, signed(task, events=before), signed(task)) == []

    def test_another_history_gives_it_away(self) -> None:
        first, *_ = findings(another(), signed(played()))
        assert first.startswith(f"{ALICE.verifier.name} has cosigned another history: expected ")

    def test_more_than_this_receipt_holds_cannot_be_compared(self) -> None:
        task = played()
        short = receipt_of(task)
        task.ledger.acting_as(BEN).commit(1, 2, opening(b"\xb2" * 32).update_digest)
        _, found = check_cosigned(short, Witnesses((ALICE.verifier,), (signed(task),)))
        assert found[0].endswith(f"got a log of {len(short.entries)} events")

    def test_nothing_of_it_vouches_for_nothing(self) -> None:
        (only,) = findings(played())
        assert only.startswith("none of the given witnesses has cosigned this history: ")


class TestTrust:
    def test_a_key_that_nobody_gave_is_not_checked(self) -> None:
        task = played()
        cosigned, found = check_cosigned(receipt_of(task), Witnesses((), (signed(task),)))
        assert (found, [one.checked for one in cosigned]) == ([], [False])
        assert check_cosigned(receipt_of(task), NOBODY) == ((), [])

    def test_a_name_without_its_key_is_nobody(self) -> None:
        task = played()
        assert findings(task, signed(task, MALLORY)) != []
        assert findings(task, signed(task, BOB)) != []

    def test_one_of_several_is_enough(self) -> None:
        task = played()
        assert findings(task, signed(task, BOB), signed(task)) == []
