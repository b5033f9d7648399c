"""Gas is part of the contract: a change shows in the diff of tests/snapshots/gas.json.

To accept new figures: `python tests/contracts/test_gas.py`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from evm_ledger import EvmChain, EvmLedger
from stage import GENESIS, MANIFEST, TERMS, Stage

from chain.accounts import to_address
from chain.paying import GAS_MARGIN
from chain.types import MAX_MEMBERS, AbsencesForgiven, MembersMissed, RoundAborted, RoundOpened

SNAPSHOT = Path(__file__).parents[1] / "snapshots" / "gas.json"
ALL = range(5)


def gas_by_scenario(chain: EvmChain) -> dict[str, int]:
    """Gas of each call in a task of five members, in round 2 where it differs from round 1."""
    ledger = EvmLedger(chain, chain.accounts[0])
    stage = Stage(ledger, ledger.acting_as, chain.travel, chain.accounts, chain.signers)
    gas = {
        "open task": stage.open(rounds=5).gas_used,
        "commit, first ever": stage.commit(0).gas_used,
    }
    stage.commit(1, 2, 3, 4)
    stage.reveal(*ALL)
    stage.attest(0, 1, 2, 3)
    gas["commit"] = stage.commit(0).gas_used
    gas["commit, opens reveal"] = stage.commit(1, 2, 3, 4).gas_used
    gas["reveal"] = stage.reveal(0).gas_used
    gas["reveal, opens attest"] = stage.reveal(1, 2, 3, 4).gas_used
    gas["attest, first"] = stage.attest(0).gas_used
    gas["attest"] = stage.attest(1).gas_used
    gas["attest, finalises and opens a round"] = stage.attest(2, 3).gas_used
    gas["relay, five commit"] = stage.relay(*stage.commitments(*ALL)).gas_used
    gas["relay, five reveal"] = stage.relay(*stage.reveals(*ALL)).gas_used
    gas["relay, four attest"] = stage.relay(*stage.votes(0, 1, 2, 3)).gas_used
    gas["relay, one act refused"] = stage.relay(stage.sign(0, "commit", bytes(32))).gas_used
    gas["skip"] = stage.skip(0).gas_used
    gas["skip, everyone has"] = stage.skip(1, 2, 3, 4).gas_used
    gas["advance, aborts and forgives"] = stage.miss().gas_used
    stage.commit(0, 1, 2, 3)
    gas["advance, opens reveal"] = stage.miss().gas_used
    gas["rejoin"] = stage.member(4).rejoin(stage.task).gas_used
    stage.reveal(0, 1, 2, 3)
    gas["attest, finishes the task"] = stage.attest(0, 1, 2, 3).gas_used
    return gas


def test_gas_is_what_was_recorded(chain: EvmChain) -> None:
    assert gas_by_scenario(chain) == json.loads(SNAPSHOT.read_bytes())


def test_the_margin_pays_for_the_dearest_end_of_a_phase(chain: EvmChain) -> None:
    # Nobody can tell who will have to open a round: here by drawing all but one of a full task.
    ledger = EvmLedger(chain, chain.accounts[0])
    members = [to_address(f"0x{number:040x}") for number in range(1, MAX_MEMBERS + 1)]
    terms = replace(TERMS, cohort_floor=MAX_MEMBERS - 1, cohort_fraction=1)
    ledger.open_task(MANIFEST, GENESIS, members, terms)
    chain.travel(chain.time + TERMS.commit_window + 1)
    receipt = ledger.advance(1)
    kinds = [type(entry.event) for entry in receipt.entries]
    assert kinds == [MembersMissed, RoundAborted, AbsencesForgiven, RoundOpened]
    assert receipt.gas_used < GAS_MARGIN


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(gas_by_scenario(EvmChain()), indent=2) + "\n")
