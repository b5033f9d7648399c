"""The ledger over JSON-RPC: what is sent arrives once, what is read fits, and every fault has its name."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from ports import deaf_port, free_port
from proxy import Proxy, Reply, changed, proxy_to, refusal

from chain import answers, log_reader
from chain.accounts import Signer, address_of, dev_account
from chain.answers import Log
from chain.artifact import load_artifact
from chain.connection import chain_id_at, connect
from chain.decoding import event_from_log
from chain.deploy import Deployment, deploy
from chain.devnet import devnet_in_thread
from chain.errors import (
    AccountUnusable,
    ChainMismatch,
    ChainRefused,
    ChainUnreachable,
    CommitmentMissing,
    ContractMismatch,
    HistoryInvalid,
    LedgerError,
    LedgerUnusable,
    MemberUnknown,
    NotAwaited,
    TaskUnknown,
    TransactionFailed,
)
from chain.history import commitment_of, head_of, topic0
from chain.transport import MAX_ANSWER_BYTES
from chain.types import (
    Entry,
    Phase,
    Receipt,
    Reveal,
    RoundAborted,
    TaskOpened,
    Terms,
    UpdateCommitted,
)
from chain.web3_ledger import Web3Ledger

TERMS = Terms(
    rounds=2,
    commit_window=600,
    reveal_window=600,
    attest_window=600,
    cohort_fraction=10_000,
    cohort_floor=2,
    min_updates=2,
    quorum=5_000,
)
MEMBERS: list[Signer] = sorted(
    (dev_account(3, index) for index in range(2)), key=lambda signer: int(signer.address, 16)
)
STRANGER, POOR = dev_account(3, 2), dev_account(3, 3)
POOR_ADDRESS = address_of(POOR)


@dataclass(frozen=True)
class World:
    url: str
    deployment: Deployment

    def ledger(self, signer: Signer | None, **options: Any) -> Web3Ledger:
        return Web3Ledger(self.url, self.deployment.address, signer, **options)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    funded = [address_of(signer) for signer in (*MEMBERS, STRANGER)]
    database = tmp_path_factory.mktemp("devnet") / "chain.db"
    with devnet_in_thread(database, fund=funded) as url:
        yield World(url, deploy(url, STRANGER))


@pytest.fixture
def proxy(world: World) -> Iterator[Proxy]:
    """A strange endpoint of the same chain."""
    with proxy_to(world.url) as strange:
        yield strange


@pytest.fixture
def strange(world: World, proxy: Proxy) -> Web3Ledger:
    """The first member's ledger, through the proxy."""
    return replace(world, url=proxy.url).ledger(MEMBERS[0])


@pytest.fixture(scope="module")
def ledgers(world: World) -> list[Web3Ledger]:
    return [world.ledger(signer) for signer in MEMBERS]


@pytest.fixture
def ledger(ledgers: list[Web3Ledger]) -> Web3Ledger:
    return ledgers[0]


@pytest.fixture
def task(ledger: Web3Ledger) -> int:
    return task_of(open_task(ledger))


def open_task(ledger: Web3Ledger) -> Receipt:
    members = [address_of(signer) for signer in MEMBERS]
    return ledger.open_task(b"\1" * 32, b"\2" * 32, members, TERMS)


def task_of(receipt: Receipt) -> int:
    opened = receipt.entries[0].event
    assert isinstance(opened, TaskOpened)
    return opened.task


def run_round(ledgers: Sequence[Web3Ledger], task: int, round: int) -> list[Entry]:
    """A round in which everybody takes part and agrees; returns what the receipts say happened."""
    openings = [
        Reveal(secrets.token_bytes(32), 10, -5, 7, secrets.token_bytes(32)) for _ in ledgers
    ]
    receipts = []
    for one, opening in zip(ledgers, openings, strict=True):
        sealed = commitment_of(one.chain_id, one.contract, task, round, one.account, opening)
        receipts.append(one.commit(task, round, sealed))
    for one, opening in zip(ledgers, openings, strict=True):
        receipts.append(one.reveal(task, round, opening))
    for one in ledgers:
        receipts.append(one.attest(task, round, bytes([round]) * 32, 0b11))
    return [entry for receipt in receipts for entry in receipt.entries]


class TestRounds:
    def test_history_is_what_the_receipts_said_and_folds_to_the_head(
        self, ledgers: list[Web3Ledger], ledger: Web3Ledger
    ) -> None:
        opened = open_task(ledger)
        task = task_of(opened)
        told = [*opened.entries, *run_round(ledgers, task, 1), *run_round(ledgers, task, 2)]
        history = list(ledger.history(task))
        assert list(history) == told

        head = head_of(ledger.chain_id, ledger.contract, task, history)
        state = ledger.task_state(task)
        assert (state.history_head, state.phase) == (head, Phase.FINISHED)
        assert (state.terms, state.parent_digest) == (TERMS, b"\2" * 32)

    def test_a_receipt_says_where_when_and_for_how_much(
        self, world: World, ledger: Web3Ledger
    ) -> None:
        receipt = open_task(ledger)
        number = hex(receipt.block_number)
        block: Any = connect(world.url).ask(answers.anything, "eth_getBlockByNumber", number, False)
        assert receipt.transaction is not None
        assert block["transactions"] == ["0x" + receipt.transaction.hex()]
        assert int(block["gasUsed"], 16) == receipt.gas_used
        assert ledger.gas_used(receipt.transaction) == receipt.gas_used
        assert {hex(entry.timestamp) for entry in receipt.entries} == {block["timestamp"]}

    def test_of_a_transaction_that_was_reorganised_away_there_is_no_gas(
        self, proxy: Proxy, strange: Web3Ledger
    ) -> None:
        sent = open_task(strange)
        assert sent.transaction is not None
        proxy.change("eth_getTransactionReceipt", lambda receipt: None)
        with pytest.raises(HistoryInvalid, match=f"no receipt of .*{sent.transaction.hex()}"):
            strange.gas_used(sent.transaction)

    def test_tasks_are_counted(self, ledger: Web3Ledger) -> None:
        before = ledger.task_count()
        open_task(ledger)
        assert ledger.task_count() == before + 1

    def test_who_and_where(self, world: World, ledger: Web3Ledger) -> None:
        assert ledger.account == MEMBERS[0].address
        assert ledger.contract == world.deployment.address
        assert ledger.chain_id == world.deployment.chain_id

    def test_now_is_the_time_of_the_block_to_come(self, ledger: Web3Ledger, task: int) -> None:
        assert abs(ledger.look(task).now - time.time()) < 60

    def test_now_without_a_pending_block_is_the_clock(
        self, proxy: Proxy, strange: Web3Ledger, task: int
    ) -> None:
        for answer in (lambda request, ask: refusal(request, "no such block"), no_result):
            proxy.on("eth_getBlockByNumber", only_for("pending", answer))
            assert abs(strange.look(task).now - time.time()) < 60


class TestHistory:
    def test_from_a_block_on(self, world: World, ledger: Web3Ledger, task: int) -> None:
        sent = ledger.skip(task, 1)
        assert list(ledger.history(task, sent.block_number)) == list(sent.entries)
        later = world.ledger(None, first_block=sent.block_number)
        assert list(later.history(task)) == list(sent.entries)
        assert list(ledger.history(task, sent.block_number + 1)) == []

    def test_of_no_task_is_empty(self, ledger: Web3Ledger) -> None:
        assert list(ledger.history(10**6)) == []

    def test_is_read_as_it_is_asked_for(
        self, world: World, proxy: Proxy, task: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log_reader, "FIRST_BLOCKS", 1)
        monkeypatch.setattr(log_reader, "MOST_BLOCKS", 1)
        sent = world.ledger(MEMBERS[0]).skip(task, 1)
        begin = sent.block_number - 1
        strange = replace(world, url=proxy.url).ledger(None, first_block=begin)
        entries = iter(strange.history(task))
        assert next(entries).event.task == task
        asked = proxy.asked.count("eth_getLogs")
        assert list(entries)[-1] == sent.entries[-1]
        assert proxy.asked.count("eth_getLogs") == asked + 1

    @pytest.mark.parametrize(
        ("count", "found", "then"),
        [(1000, 0, 2000), (1000, 500, 2000), (1000, 4000, 250), (1, 50_000, 1), (8000, 0, 10_000)],
    )
    def test_answers_have_about_as_many_logs_whatever_a_chain_s_blocks_hold(
        self, count: int, found: int, then: int
    ) -> None:
        assert log_reader.next_range(count, found) == then

    def test_of_the_last_blocks_takes_one_request(
        self, proxy: Proxy, strange: Web3Ledger, task: int
    ) -> None:
        sent = strange.skip(task, 1)
        proxy.asked.clear()
        assert list(strange.history(task, sent.block_number)) == list(sent.entries)
        assert proxy.asked == ["eth_getLogs"]
        proxy.change("eth_getLogs", lambda found: [first(found, blockNumber="0x0"), *found[1:]])
        with pytest.raises(HistoryInvalid, match="to latest, got one of 0"):
            list(strange.history(task, sent.block_number))

    def test_the_opening_is_found_without_the_rest(
        self, proxy: Proxy, strange: Web3Ledger, task: int
    ) -> None:
        strange.skip(task, 1)
        found: list[Any] = []
        proxy.change("eth_getLogs", lambda logs: found.extend(logs) or logs)
        opened = next(iter(strange.history(task))).event
        read = len(found)
        assert strange.opening(task) == opened
        assert len(found) == read + 1
        assert strange.opening(10**6) is None

    @pytest.mark.parametrize("most", [1, 3])
    def test_asks_for_fewer_blocks_when_the_node_wants_that(
        self, proxy: Proxy, strange: Web3Ledger, task: int, most: int
    ) -> None:
        strange.skip(task, 1)
        whole = list(strange.history(task))
        proxy.on("eth_getLogs", no_more_blocks_than(most, refusal_of_range))
        assert list(strange.history(task)) == whole
        # A service may say so with a status of HTTP.
        proxy.on("eth_getLogs", no_more_blocks_than(most, lambda request: Reply(b"", 400)))
        assert list(strange.history(task)) == whole

    def test_asks_for_fewer_blocks_when_the_answer_is_too_long_to_be_read(
        self, proxy: Proxy, strange: Web3Ledger, task: int
    ) -> None:
        whole = list(strange.history(task))
        too_long = Reply(b" " * (MAX_ANSWER_BYTES + 1))
        proxy.on("eth_getLogs", no_more_blocks_than(300, lambda request: too_long))
        assert list(strange.history(task)) == whole

    def test_ends_when_not_even_one_block_is_given(
        self, proxy: Proxy, strange: Web3Ledger, task: int
    ) -> None:
        proxy.on("eth_getLogs", lambda request, ask: refusal_of_range(request))
        with pytest.raises(ChainRefused, match="refused: too many blocks"):
            list(strange.history(task))
        assert proxy.asked.count("eth_getLogs") < 20

    def test_has_no_time_for_a_log_whose_block_is_gone(
        self, proxy: Proxy, strange: Web3Ledger, task: int
    ) -> None:
        gone = {"blockTimestamp": None, "blockHash": "0x" + "ab" * 32}
        proxy.change("eth_getLogs", lambda found: [log | gone for log in found])
        with pytest.raises(LedgerError, match="ab" * 32):
            list(strange.history(task))

    def test_takes_times_from_the_blocks_of_nodes_that_give_none_with_the_logs(
        self, proxy: Proxy, strange: Web3Ledger, task: int
    ) -> None:
        whole = list(strange.history(task))
        proxy.change("eth_getLogs", lambda found: [without(log, "blockTimestamp") for log in found])
        assert list(strange.history(task)) == whole
        asked = proxy.asked.count("eth_getBlockByHash")
        assert asked == len({entry.block_number for entry in whole})
        assert list(strange.history(task)) == whole
        assert proxy.asked.count("eth_getBlockByHash") == asked, "a block's time does not change"

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda found: found[::-1], "twice or out of order"),
            (lambda found: [*found, found[-1]], "twice or out of order"),
            (lambda found: [first(found, data="0x"), *found[1:]], "does not decode"),
            (lambda found: [first(found, topics=["0x" + "00" * 32])], "not the contract's"),
            (lambda found: [first(found, topics=[])], "not the contract's"),
            (lambda found: [first(found, blockNumber="0x7fffffff")], "got one of 2147483647"),
            (lambda found: [first(found, address="0x" + "00" * 20)], "got one of 0x0000"),
        ],
    )
    def test_that_does_not_fit_is_refused(
        self, proxy: Proxy, strange: Web3Ledger, task: int, spoil: Any, message: str
    ) -> None:
        proxy.change("eth_getLogs", spoil)
        with pytest.raises(HistoryInvalid, match=message):
            list(strange.history(task))

    def test_of_another_task_is_refused(self, proxy: Proxy, strange: Web3Ledger, task: int) -> None:
        other = "0x" + (task + 1).to_bytes(32, "big").hex()
        proxy.change(
            "eth_getLogs",
            lambda f: [first(f, topics=[f[0]["topics"][0], other, f[0]["topics"][2]])],
        )
        for read in (strange.history, strange.opening):
            with pytest.raises(HistoryInvalid, match=f"of task {task}, got one of {task + 1}"):
                list(read(task) or ())

    def test_indexed_arguments_come_first_in_every_event(self) -> None:
        # `event_from_log` relies on it.
        for item in load_artifact().abi:
            if item["type"] == "event":
                indexed = [part["indexed"] for part in item["inputs"]]
                assert indexed == sorted(indexed, reverse=True), item["name"]

    def test_an_event_with_a_value_of_no_meaning(self) -> None:
        # RoundAborted in a phase that does not exist.
        topic = topic0(RoundAborted)
        data = bytes(31) + b"\0" + bytes(31) + b"\x09"
        log = Log(POOR_ADDRESS, (topic, bytes(32), bytes(32)), data, 1, bytes(32), 0, bytes(32))
        with pytest.raises(HistoryInvalid, match="RoundAborted does not decode"):
            event_from_log(log)


def without(log: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in log.items() if key != name}


def first(found: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    return found[0] | fields


def no_result(request: Any, ask: Any) -> Any:
    return changed(ask(), lambda result: None)


def only_for(block: str, handler: Any) -> Any:
    """Handle requests for one block; the others are passed on."""

    def handle(request: Any, ask: Any) -> Any:
        return handler(request, ask) if request["params"][0] == block else ask()

    return handle


def refusal_of_range(request: Any) -> Any:
    return refusal(request, "too many blocks", -32005)


def no_more_blocks_than(most: int, refuse: Any) -> Any:
    """Refuse requests for the logs of more blocks."""

    def handle(request: Any, ask: Any) -> Any:
        begin, end = (int(request["params"][0][name], 16) for name in ("fromBlock", "toBlock"))
        return refuse(request) if end - begin >= most else ask()

    return handle


FIELDS = ["coordinator", "manifest", "genesis", *TERMS.__dataclass_fields__, "member_count", "phase", "round",
          "attempt", "deadline", "cohort", "awaited", "committed", "revealed",
          "absent"]  # fmt: skip
"""The words of a task's state, in their order, up to the last that is changed here."""


def with_word(words: str, field: str, value: int) -> str:
    """The result of a call with another value of 32 bytes."""
    data = bytes.fromhex(words.removeprefix("0x"))
    place = 32 * FIELDS.index(field)
    return "0x" + (data[:place] + value.to_bytes(32, "big") + data[place + 32 :]).hex()


class TestRanges:
    """What a node says is in range, or refused at once."""

    @pytest.mark.parametrize(
        ("field", "value", "message"),
        [
            ("phase", 0, "without a phase"),
            ("phase", 5, "5 is not a valid Phase"),
            ("phase", 256, "does not answer eth_call"),
            ("member_count", 0, "a task of 0 members"),
            ("member_count", 97, "a task of 97 members"),
            ("round", 0, "round 0 of 2"),
            ("round", 3, "round 3 of 2"),
            ("rounds", 0, "round 1 of 0"),
            ("deadline", 1 << 32, "does not answer eth_call"),
            ("awaited", 0b100, "more members than the task has"),
            ("committed", 1 << 95, "more members than the task has"),
            ("absent", 1 << 96, "does not answer eth_call"),
            ("coordinator", 1 << 160, "does not answer eth_call"),
        ],
    )
    def test_of_a_tasks_state(
        self, proxy: Proxy, strange: Web3Ledger, task: int, field: str, value: int, message: str
    ) -> None:
        proxy.change("eth_call", lambda words: with_word(words, field, value))
        with pytest.raises(LedgerError, match=message):
            strange.task_state(task)

    def test_of_the_number_of_tasks(self, proxy: Proxy, strange: Web3Ledger) -> None:
        proxy.change("eth_call", lambda word: "0x" + "f" * 64)
        with pytest.raises(HistoryInvalid, match=r"claims 1\d{77} tasks"):
            strange.task_count()

    @pytest.mark.parametrize("number", ["0x7ffffffffffffff", "0xffffffffffffffffffff"])
    def test_a_block_beyond_all_measure_starts_no_search(
        self, proxy: Proxy, strange: Web3Ledger, task: int, number: str
    ) -> None:
        proxy.change("eth_blockNumber", lambda _: number)
        with pytest.raises(LedgerError, match=r"newest block is \d+, more than|eth_blockNumber"):
            list(strange.history(task))
        assert "eth_getLogs" not in proxy.asked

    @pytest.mark.parametrize("time", ["0x3afff44180", "0xffffffffffffffff", -1])
    def test_a_time_after_the_year_9999_is_none(
        self, proxy: Proxy, strange: Web3Ledger, task: int, time: Any
    ) -> None:
        proxy.change("eth_getLogs", lambda found: [first(found, blockTimestamp=time)])
        proxy.change("eth_getBlockByNumber", lambda block: block | {"timestamp": time})
        for call in (lambda: strange.look(task), lambda: list(strange.history(task))):
            with pytest.raises(ChainUnreachable, match="expected a number from 0 to"):
                call()

    def test_a_log_without_end_is_left_alone(
        self, strange: Web3Ledger, task: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log_reader, "MAX_ENTRIES", 1)
        with pytest.raises(HistoryInvalid, match=f"more than 1 logs of task {task}"):
            list(strange.history(task))
        monkeypatch.setattr(log_reader, "HISTORY_SECONDS", 0.0)
        with pytest.raises(ChainUnreachable, match="did not give the whole log in 0 s"):
            list(strange.history(task))


class TestRejections:
    def test_of_reads(self, ledger: Web3Ledger) -> None:
        with pytest.raises(TaskUnknown) as caught:
            ledger.task_state(10**6)
        assert caught.value == TaskUnknown(10**6)

    def test_of_calls_before_anything_is_sent(
        self, world: World, ledger: Web3Ledger, task: int
    ) -> None:
        connection = connect(world.url)
        before = connection.ask(answers.quantity, "eth_blockNumber")
        with pytest.raises(CommitmentMissing):
            ledger.commit(task, 1, bytes(32))
        with pytest.raises(MemberUnknown) as caught:
            world.ledger(STRANGER).commit(task, 1, b"\1" * 32)
        assert caught.value == MemberUnknown(task, address_of(STRANGER))
        assert connection.ask(answers.quantity, "eth_blockNumber") == before

    def test_of_a_transaction_that_was_overtaken_and_reverted_in_its_block(
        self, proxy: Proxy, strange: Web3Ledger, task: int
    ) -> None:
        strange.commit(task, 1, b"\1" * 32)
        # The node says what it would have said a moment ago.
        proxy.on("eth_estimateGas", lambda request, ask: {"id": request["id"], "result": "0x30d40"})
        with pytest.raises(NotAwaited) as caught:
            strange.commit(task, 1, b"\1" * 32)
        assert caught.value == NotAwaited(strange.account)

    def test_of_a_transaction_that_failed_for_no_reason_that_lasts(
        self, proxy: Proxy, strange: Web3Ledger, task: int
    ) -> None:
        # With so little gas it fails in its block, and would not with enough.
        proxy.change("eth_getBlockByNumber", lambda block: block | {"gasLimit": hex(30_000)})
        with pytest.raises(TransactionFailed, match=r"transaction 0x.* failed in block \d+"):
            strange.commit(task, 1, b"\1" * 32)
        proxy.restore()
        assert strange.commit(task, 1, b"\1" * 32).entries

    @pytest.mark.parametrize("task", [-1, 1 << 256])
    def test_of_numbers_that_are_no_task(self, ledger: Web3Ledger, task: int) -> None:
        def history(task: int) -> list[Entry]:
            return list(ledger.history(task))

        for call in (ledger.task_state, ledger.advance, ledger.opening, history):
            with pytest.raises(LedgerUnusable):
                call(task)

    def test_of_values_that_do_not_fit(self, ledger: Web3Ledger, task: int) -> None:
        with pytest.raises(LedgerUnusable, match="commit does not take"):
            ledger.commit(task, 1 << 16, b"\1" * 32)
        with pytest.raises(LedgerUnusable, match="commit does not take"):
            ledger.commit(task, 1, b"\1" * 33)


class TestAccounts:
    def test_no_funds(self, world: World) -> None:
        with pytest.raises(AccountUnusable, match=f"account {POOR.address} cannot pay"):
            open_task(world.ledger(POOR))

    def test_reading_needs_no_account_and_sending_does(self, world: World, task: int) -> None:
        reader = world.ledger(None)
        assert reader.task_state(task).phase is Phase.COMMIT
        with pytest.raises(AccountUnusable, match="read-only"):
            reader.skip(task, 1)
        with pytest.raises(AccountUnusable, match="read-only"):
            _ = reader.account


class TestSending:
    def test_a_chain_without_base_fee_gets_an_old_transaction(
        self, world: World, proxy: Proxy, strange: Web3Ledger, task: int
    ) -> None:
        proxy.change("eth_getBlockByNumber", lambda block: without(block, "baseFeePerGas"))
        sent = strange.skip(task, 1)
        assert sent.transaction is not None
        named = "0x" + sent.transaction.hex()
        found: Any = connect(world.url).ask(answers.anything, "eth_getTransactionByHash", named)
        assert int(found["type"], 16) == 0

    @pytest.mark.parametrize("method", ["eth_maxPriorityFeePerGas", "eth_getBlockByNumber"])
    def test_a_node_that_names_a_price_beyond_all_measure_is_not_paid(
        self, proxy: Proxy, strange: Web3Ledger, task: int, method: str
    ) -> None:
        absurd = hex(10**18)
        proxy.change(
            method,
            lambda found: found | {"baseFeePerGas": absurd} if isinstance(found, dict) else absurd,
        )
        with pytest.raises(ChainRefused, match=r"asks for \d{19} wei for a unit of gas"):
            strange.skip(task, 1)
        assert "eth_sendRawTransaction" not in proxy.asked

    def test_when_an_answer_was_lost_the_transaction_is_not_sent_twice(
        self, proxy: Proxy, strange: Web3Ledger, task: int
    ) -> None:
        def send_and_lose(request: Any, ask: Any) -> Any:
            ask()
            return refusal(request, "nonce too low: as to the same transaction again")

        proxy.on("eth_sendRawTransaction", send_and_lose)
        receipt = strange.commit(task, 1, b"\1" * 32)
        assert [type(entry.event) for entry in receipt.entries] == [UpdateCommitted]

    def test_when_the_connection_breaks_the_same_transaction_is_sent_again(
        self, proxy: Proxy, strange: Web3Ledger, task: int
    ) -> None:
        broken = iter([True])

        def send_and_break(request: Any, ask: Any) -> Any:
            answer = ask()
            return Reply(b"{", headers={"Content-Length": "99"}) if next(broken, None) else answer

        proxy.on("eth_sendRawTransaction", send_and_break)
        assert strange.skip(task, 1).entries
        assert proxy.asked.count("eth_sendRawTransaction") == 2

    def test_a_nonce_that_another_process_took_is_replaced(
        self, proxy: Proxy, strange: Web3Ledger, task: int
    ) -> None:
        proxy.refuse("eth_sendRawTransaction", "replacement transaction underpriced", times=2)
        assert strange.skip(task, 1).entries
        assert proxy.asked.count("eth_sendRawTransaction") == 3

    @pytest.mark.parametrize("reason", ["nonce too low", "pool is full"])
    def test_a_node_that_goes_on_refusing(
        self, proxy: Proxy, strange: Web3Ledger, task: int, reason: str
    ) -> None:
        proxy.refuse("eth_sendRawTransaction", reason)
        with pytest.raises(ChainRefused, match=f"refused: {reason}"):
            strange.skip(task, 1)

    def test_a_block_that_does_not_come(self, world: World, proxy: Proxy, task: int) -> None:
        through = replace(world, url=proxy.url)
        impatient = through.ledger(MEMBERS[0], receipt_seconds=0.2)
        proxy.change("eth_getTransactionReceipt", lambda receipt: None)
        with pytest.raises(ChainUnreachable, match=r"in no block after 0\.2 seconds"):
            impatient.skip(task, 1)

    def test_a_receipt_that_is_only_pending_is_waited_for(
        self, proxy: Proxy, strange: Web3Ledger, task: int
    ) -> None:
        early = iter([{"blockNumber": None}])
        proxy.change("eth_getTransactionReceipt", lambda receipt: receipt | next(early, {}))
        assert strange.skip(task, 1).block_number > 0

    def test_a_receipt_of_another_transaction_is_refused(
        self, proxy: Proxy, strange: Web3Ledger, task: int
    ) -> None:
        other = {"transactionHash": "0x" + "ab" * 32}
        proxy.change("eth_getTransactionReceipt", lambda receipt: receipt | other)
        with pytest.raises(ChainUnreachable, match="another transaction's receipt"):
            strange.skip(task, 1)


class TestConnection:
    def test_another_chain(self, world: World) -> None:
        with pytest.raises(ChainMismatch, match="serves chain 31337, expected 1"):
            world.ledger(None, chain_id=1)

    def test_which_chain_is_there(self, world: World) -> None:
        assert chain_id_at(world.url) == world.deployment.chain_id

    def test_no_contract_there(self, world: World) -> None:
        elsewhere = replace(world, deployment=replace(world.deployment, address=address_of(POOR)))
        with pytest.raises(ContractMismatch, match="no contract"):
            elsewhere.ledger(None)

    def test_nothing_listens(self) -> None:
        refused = pytest.raises(ChainUnreachable, match=r"no chain answers at .*Connection refused")
        with deaf_port() as port, refused:
            connect(f"http://127.0.0.1:{port}")

    def test_a_chain_that_was_restarted_is_found_again(self, tmp_path: Path) -> None:
        port, database = free_port(), tmp_path / "chain.db"
        funded = [address_of(MEMBERS[0])]
        with devnet_in_thread(database, port=port, fund=funded) as url:
            ledger = Web3Ledger(url, deploy(url, MEMBERS[0]).address, MEMBERS[0])
            task = task_of(open_task(ledger))
        with pytest.raises(ChainUnreachable):
            ledger.task_count()
        with devnet_in_thread(database, port=port):
            ledger.skip(task, 1)
            assert len(list(ledger.history(task))) == 3
