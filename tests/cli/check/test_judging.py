"""What a check says of the things that a node depends on: numbers, a verdict, and what to do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doubles import MEMBERS, Clock, small_manifest

from chain.errors import ChainUnreachable
from chain.memory_ledger import MemoryLedger
from chain.probing import Funds, Probe
from chain.relay.health import Health
from chain.types import Phase, TaskState
from fl_node.blobs.store import Speed
from fl_node.cli.check import chain, machine, relay, storage
from fl_node.cli.check.findings import Findings, Found, Verdict, findings_table, to_json
from fl_node.errors import StateUnusable, StoreUnusable
from fl_node.member.state import Membership, NodeState

NOW = 1_700_000_000.0
MAINNET, DEVNET = 1, 31337
PROBE = Probe("https://rpc.example", MAINNET, "Geth/v1.15", 0.6, True, 100, int(NOW) - 6)
GWEI, ETHER = 10**9, 10**18


def opened() -> TaskState:
    manifest = small_manifest()
    ledger = MemoryLedger(MEMBERS[0], clock=Clock())
    ledger.open_task(b"m" * 32, b"g" * 32, manifest.addresses, manifest.terms())
    return ledger.task_state(1)


STATE = opened()


class TestEndpoint:
    def judged(self, chain_id: int = MAINNET, newest: int = 100, **changes: object) -> Found:
        probe = replace(PROBE, **changes)  # type: ignore[arg-type]
        return chain.endpoint(probe, chain_id, newest, NOW)

    def test_a_good_one_is_told_with_its_numbers(self) -> None:
        assert self.judged() == Found(
            "endpoint",
            Verdict.GOOD,
            "https://rpc.example: Geth/v1.15, chain 1, 12 requests in 0.60 s, takes batches",
        )

    def test_another_chain_is_wrong(self) -> None:
        found = self.judged(chain_id=DEVNET)
        assert found.verdict is Verdict.WRONG
        assert "the contract is on chain 31337" in found.found

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"block_time": int(NOW) - 600}, "its newest block is 600 s old"),
            ({"seconds": 30.0}, "12 requests in 30.00 s"),
            ({"seconds": 4.0, "batches": False}, "12 requests in 4.00 s, takes no batches"),
            ({"newest": 104}, "4 blocks behind another endpoint"),
        ],
    )
    def test_slow_ones_and_ones_with_old_blocks_are_doubtful(
        self, changes: dict[str, object], words: str
    ) -> None:
        found = self.judged(**changes)
        assert found.verdict is Verdict.DOUBTFUL
        assert words in found.found
        assert found.advice

    def test_a_test_chain_may_rest(self) -> None:
        resting = replace(PROBE, chain_id=DEVNET, block_time=5)
        assert chain.endpoint(resting, DEVNET, 100, NOW).verdict is Verdict.GOOD

    def test_a_fast_one_may_refuse_batches(self) -> None:
        found = self.judged(batches=False)
        assert found.verdict is Verdict.GOOD
        assert found.found.endswith("takes no batches")

    def test_one_may_be_some_blocks_behind(self) -> None:
        assert self.judged(newest=103).verdict is Verdict.GOOD

    def test_a_dead_one_is_wrong_unless_others_suffice(self) -> None:
        gone = ChainUnreachable("no chain answers at http://10.0.0.5")
        assert chain.silent(gone, others_suffice=False).verdict is Verdict.WRONG
        found = chain.silent(gone, others_suffice=True)
        assert (found.verdict, found.found) == (Verdict.DOUBTFUL, str(gone))


class TestClock:
    @pytest.mark.parametrize("ahead", [-3600, 0, 30])
    def test_blocks_of_the_past_are_in_order(self, ahead: int) -> None:
        assert chain.clock(int(NOW) + ahead, MAINNET, NOW).verdict is Verdict.GOOD

    def test_blocks_of_the_future_mean_that_this_clock_is_slow(self) -> None:
        found = chain.clock(int(NOW) + 90, MAINNET, NOW)
        assert found.verdict is Verdict.DOUBTFUL
        assert found.found == "90 s behind the chain's newest block"

    def test_a_test_chains_time_may_be_moved(self) -> None:
        assert chain.clock(int(NOW) + 3600, DEVNET, NOW).verdict is Verdict.GOOD


class TestBalance:
    def judged(
        self, ether: float, gwei: int = 10, rounds: int = 100, most: int = 500, **options: bool
    ) -> Found:
        funds = Funds(int(ether * ETHER), gwei * GWEI)
        return chain.balance(MEMBERS[0], funds, rounds, most * GWEI, **options)

    def test_enough_for_all_rounds(self) -> None:
        found = self.judged(1)
        assert found.verdict is Verdict.GOOD
        assert "enough for about 627 rounds at 10 gwei; the task has 100 left" in found.found

    def test_enough_for_some_is_doubtful_and_says_how_much_is_missing(self) -> None:
        found = self.judged(0.1)
        assert found.verdict is Verdict.DOUBTFUL
        assert found.advice == f"send {MEMBERS[0]} 0.066891 ether"
        assert self.judged(0.1 + 0.066892).verdict is Verdict.GOOD

    def test_nothing_is_wrong(self) -> None:
        assert self.judged(0).verdict is Verdict.WRONG

    def test_where_gas_is_free_nothing_is_needed(self) -> None:
        assert self.judged(0, gwei=0).verdict is Verdict.GOOD

    def test_a_price_that_the_node_may_not_pay_is_wrong(self) -> None:
        found = self.judged(1000, gwei=501)
        assert found.verdict is Verdict.WRONG
        assert found.found == "gas costs 501 gwei, and --max-gas-price is 500 gwei"

    def test_a_member_with_a_relay_needs_nothing_of_its_own(self) -> None:
        found = self.judged(0, relayed=True)
        assert found.verdict is Verdict.DOUBTFUL
        assert found.advice.startswith(f"to do without the relay, send {MEMBERS[0]}")
        assert self.judged(1, relayed=True) == self.judged(1)


GAS = json.loads((Path(__file__).parents[2] / "snapshots" / "gas.json").read_text())


def test_what_a_round_takes_is_what_was_measured() -> None:
    """Each act as the last of its phase, and a member's share of batches."""
    assert {
        "commit": GAS["commit, opens reveal"],
        "reveal": GAS["reveal, opens attest"],
        "attest": GAS["attest, finalises and opens a round"],
    } == chain.GAS_OF_ACTS
    shares = (("five commit", 5), ("five reveal", 5), ("four attest", 4))
    assert sum(GAS[f"relay, {acts}"] // count for acts, count in shares) == relay.GAS_A_MEMBER


HEALTH = Health(MAINNET, MEMBERS[0], MEMBERS[1], {1: 5_000_000, 3: 0}, 0, 10**9, 10**6, 10**8)


class TestRelay:
    def judged(self, task: int = 1, **changes: object) -> Found:
        health = replace(HEALTH, **changes)  # type: ignore[arg-type]
        return relay.relay("the relay at https://r.example", health, MAINNET, MEMBERS[0], task)

    def test_a_good_one_is_told_with_its_limits(self) -> None:
        assert self.judged() == Found(
            "relay",
            Verdict.GOOD,
            "the relay at https://r.example has spent 5.0 M of 1,000.0 M gas for task 1, "
            "and 1.0 M of 100.0 M for today",
        )

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"chain_id": 5}, "on chain 5; the task is at"),
            ({"contract": MEMBERS[2]}, f"serves contract {MEMBERS[2]}"),
            ({"task": 2}, "does not serve task 2; it serves 1, 3"),
            ({"tasks": {}}, "it serves none"),
            ({"tasks": {1: 10**9 - 1}}, "nothing is left for the task"),
        ],
    )
    def test_one_that_cannot_help_is_wrong(self, changes: dict[str, Any], words: str) -> None:
        found = self.judged(**changes)
        assert found.verdict is Verdict.WRONG
        assert words in found.found
        assert found.advice

    def test_one_that_has_spent_its_day_is_doubtful(self) -> None:
        found = self.judged(gas_today=10**8)
        assert found.verdict is Verdict.DOUBTFUL
        assert "pays again after midnight UTC" in found.found

    def test_what_its_account_can_pay_for(self) -> None:
        def judged(ether: float, gwei: int = 10) -> Found:
            return relay.payer(HEALTH, Funds(int(ether * ETHER), gwei * GWEI), 5, 100)

        assert judged(1).verdict is Verdict.GOOD
        poor = judged(0.05)
        assert poor.verdict is Verdict.DOUBTFUL
        assert "enough for about 10 rounds of 5 members; the task has 100 left" in poor.found
        assert judged(0, gwei=0).verdict is Verdict.GOOD


class TestTask:
    def test_an_open_task(self) -> None:
        found = chain.contract(1, MEMBERS[0], STATE)
        assert found.verdict is Verdict.GOOD
        assert found.found.endswith("task 1 is in round 1 of 2, commit phase")
        assert chain.rounds_left(STATE) == 2

    def test_a_finished_one_is_doubtful(self) -> None:
        finished = replace(STATE, phase=Phase.FINISHED)
        assert chain.contract(1, MEMBERS[0], finished).verdict is Verdict.DOUBTFUL
        assert chain.rounds_left(finished) == 0

    def test_a_stranger_is_wrong(self) -> None:
        assert chain.member(MEMBERS[1], MEMBERS).found.endswith("is member 2 of 3")
        assert chain.member(MEMBERS[1], MEMBERS[2:]).verdict is Verdict.WRONG


TERMS = replace(STATE.terms, commit_window=60, reveal_window=30, attest_window=30)
MBIT = 1_000_000 / 8


class TestWindows:
    @pytest.mark.parametrize(
        ("mbit", "verdict"),
        [(0.5, Verdict.WRONG), (2, Verdict.DOUBTFUL), (5, Verdict.DOUBTFUL), (8, Verdict.GOOD)],
    )
    def test_an_update_must_be_there_in_time(self, mbit: float, verdict: Verdict) -> None:
        found = storage.uplink(14_300_000, Speed(mbit * MBIT, 100 * MBIT), TERMS)
        assert found.verdict is verdict

    def test_the_numbers_are_told(self) -> None:
        found = storage.uplink(14_300_000, Speed(2 * MBIT, 100 * MBIT), TERMS)
        assert found.found == (
            "an update of 14.3 MB takes about 57 s at 2.0 Mbit/s; the reveal window is 30 s, "
            "so it counts only in rounds in which others train longer"
        )

    def test_the_others_updates_must_be_read_in_time(self) -> None:
        fast, slow = Speed(100 * MBIT, 100 * MBIT), Speed(100 * MBIT, 2 * MBIT)
        sizes = (14_300_000, 14_300_000, 3)
        assert storage.downlink(*sizes, fast, TERMS).verdict is Verdict.GOOD
        assert storage.downlink(*sizes, slow, TERMS).verdict is Verdict.WRONG


MEMBERSHIP = Membership(1, MEMBERS[0], 1, MEMBERS[1])


class TestState:
    def test_a_folder_that_is_not_there_yet_is_in_order_and_stays_away(
        self, tmp_path: Path
    ) -> None:
        found = machine.state(tmp_path / "a" / "b", MEMBERSHIP, 1_000)
        assert found.verdict is Verdict.GOOD
        assert not (tmp_path / "a").exists()

    def test_a_disk_that_is_too_small_is_wrong(self, tmp_path: Path) -> None:
        assert machine.state(tmp_path / "state", None, 1 << 50).verdict is Verdict.WRONG

    def test_somebody_elses_folder_is_refused(self, tmp_path: Path) -> None:
        NodeState(tmp_path / "state", replace(MEMBERSHIP, task=2)).close()
        with pytest.raises(StateUnusable, match="belongs to another member or task"):
            machine.state(tmp_path / "state", MEMBERSHIP, 0)

    def test_one_in_use_is_told(self, tmp_path: Path) -> None:
        with (
            NodeState(tmp_path / "state", MEMBERSHIP),
            pytest.raises(StateUnusable, match="in use by another node"),
        ):
            machine.state(tmp_path / "state", MEMBERSHIP, 0)

    def test_what_is_no_folder_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(StateUnusable):
            machine.state(tmp_path / "file", None, 0)


class TestFindings:
    def test_what_fails_is_a_finding_with_its_advice(self) -> None:
        def fail() -> int:
            raise StoreUnusable("no\x1b[2J such folder")

        findings = Findings()
        assert (
            findings.tried("store", fail, lambda _: Found("store", Verdict.GOOD, ""), "x") is None
        )
        (found,) = findings.all
        assert (found.verdict, found.advice) == (Verdict.WRONG, "x")
        assert "\x1b" not in found.found
        assert findings.anything_wrong

    def test_doubt_and_ignorance_are_not_wrong(self) -> None:
        findings = Findings()
        findings.add(Found("clock", Verdict.DOUBTFUL, "slow"))
        findings.unknown("uplink", "a store")
        assert not findings.anything_wrong
        assert to_json(findings.all)[1] == {
            "what": "uplink",
            "verdict": "not checked",
            "found": "needs a store",
            "advice": "",
        }
        assert findings_table(findings.all).row_count == 2
