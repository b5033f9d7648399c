"""The ledger over JSON-RPC: what is sent arrives once, what is read fits, and every fault has its name."""

from __future__ import annotations

import json
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from chain import web3_ledger
from chain.accounts import Signer, address_of, dev_account
from chain.compile import load_artifact
from chain.connection import chain_id_at, connect
from chain.deploy import Deployment, deploy
from chain.devnet import database, devnet_in_thread
from chain.devnet.blocks import Chain, Refused
from chain.devnet.database import Database
from chain.devnet.framing import answer_body
from chain.devnet.limits import Limits
from chain.devnet.methods import Methods
from chain.errors import (
    AccountUnusable,
    AlreadyActed,
    ChainMismatch,
    ChainRefused,
    ChainUnreachable,
    CommitmentMissing,
    ContractMismatch,
    HistoryInvalid,
    LedgerUnusable,
    MemberUnknown,
    TaskUnknown,
    UnknownRejection,
)
from chain.history import commitment_of, first_head, fold, topic0
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
from chain.web3_ledger import Web3Ledger, event_from_log

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
        history = ledger.history(task)
        assert list(history) == told

        head = first_head(ledger.chain_id, ledger.contract, task)
        for entry in history:
            head = fold(head, entry.event)
        state = ledger.task_state(task)
        assert (state.history_head, state.phase) == (head, Phase.FINISHED)
        assert (state.terms, state.parent_digest) == (TERMS, b"\2" * 32)

    def test_a_receipt_says_where_when_and_for_how_much(
        self, world: World, ledger: Web3Ledger
    ) -> None:
        receipt = open_task(ledger)
        block = connect(world.url).eth.get_block(receipt.block_number)
        assert block["transactions"] == [receipt.transaction]
        assert block["gasUsed"] == receipt.gas_used
        assert receipt.transaction is not None
        assert ledger.gas_used(receipt.transaction) == receipt.gas_used
        assert {entry.timestamp for entry in receipt.entries} == {block["timestamp"]}

    def test_tasks_are_counted(self, ledger: Web3Ledger) -> None:
        before = ledger.task_count()
        open_task(ledger)
        assert ledger.task_count() == before + 1

    def test_who_and_where(self, world: World, ledger: Web3Ledger) -> None:
        assert ledger.account == MEMBERS[0].address
        assert ledger.contract == world.deployment.address
        assert ledger.chain_id == world.deployment.chain_id

    def test_now_is_the_time_of_the_block_to_come(self, ledger: Web3Ledger) -> None:
        assert abs(ledger.now() - time.time()) < 5

    def test_now_without_a_pending_block_is_the_clock(
        self, ledger: Web3Ledger, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("chain.devnet.methods.pending_answer", lambda _: None)
        assert abs(ledger.now() - time.time()) < 5


class TestHistory:
    def test_from_a_block_on(self, world: World, ledger: Web3Ledger, task: int) -> None:
        sent = ledger.skip(task, 1)
        assert list(ledger.history(task, sent.block_number)) == list(sent.entries)
        later = world.ledger(None, first_block=sent.block_number)
        assert list(later.history(task)) == list(sent.entries)
        assert list(ledger.history(task, sent.block_number + 1)) == []

    def test_of_no_task_is_empty(self, ledger: Web3Ledger) -> None:
        assert list(ledger.history(10**6)) == []

    def test_is_the_same_in_small_ranges(
        self, ledger: Web3Ledger, task: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ledger.skip(task, 1)
        whole = ledger.history(task)
        monkeypatch.setattr(web3_ledger, "LOG_BLOCKS", 3)
        assert ledger.history(task) == whole

    def test_asks_for_less_when_the_node_wants_that(
        self, ledger: Web3Ledger, task: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ledger.skip(task, 1)
        whole = ledger.history(task)
        bounded = database._bounded
        monkeypatch.setattr(database, "_bounded", lambda found, _: bounded(found, Limits(logs=2)))
        assert ledger.history(task) == whole
        monkeypatch.setattr(database, "_bounded", lambda found, _: bounded(found, Limits(logs=1)))
        with pytest.raises(LedgerUnusable, match="refused: query returned more than 1 results"):
            ledger.history(task)

    def test_asks_for_less_when_a_service_says_so_with_a_status(
        self, ledger: Web3Ledger, task: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def strict(methods: Methods, body: bytes) -> bytes:
            request = json.loads(body)
            if request["method"] == "eth_getLogs":
                query = request["params"][0]
                if int(query["toBlock"], 16) - int(query["fromBlock"], 16) >= 2:
                    raise web.HTTPBadRequest
            return answer_body(methods, body)

        ledger.skip(task, 1)
        whole = ledger.history(task)
        monkeypatch.setattr("chain.devnet.endpoint.answer_body", strict)
        assert ledger.history(task) == whole

    def test_has_no_time_for_a_log_whose_block_is_gone(
        self, ledger: Web3Ledger, task: int, logs: FoundLogs
    ) -> None:
        ledger.history(task)
        gone = {"blockTimestamp": None, "blockHash": "0x" + "ab" * 32}
        logs.change(lambda found: [log | gone for log in found])
        with pytest.raises(ChainRefused, match="ab" * 32):
            ledger.history(task)

    def test_takes_times_from_the_blocks_of_nodes_that_give_none_with_the_logs(
        self, world: World, ledger: Web3Ledger, task: int, logs: FoundLogs
    ) -> None:
        whole = ledger.history(task)
        logs.change(lambda found: [without(log, "blockTimestamp") for log in found])
        assert world.ledger(None).history(task) == whole

    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda found: found[::-1], "twice or out of order"),
            (lambda found: [*found, found[-1]], "twice or out of order"),
            (lambda found: [first(found, data="0x"), *found[1:]], "does not decode"),
            (lambda found: [first(found, topics=["0x" + "00" * 32])], "not the contract's"),
            (lambda found: [first(found, topics=[])], "not the contract's"),
        ],
    )
    def test_that_does_not_fit_is_refused(
        self, ledger: Web3Ledger, task: int, logs: FoundLogs, spoil: Any, message: str
    ) -> None:
        logs.change(spoil)
        with pytest.raises(HistoryInvalid, match=message):
            ledger.history(task)

    def test_of_another_task_is_refused(
        self, ledger: Web3Ledger, task: int, logs: FoundLogs
    ) -> None:
        other = "0x" + (task + 1).to_bytes(32, "big").hex()
        logs.change(lambda f: [first(f, topics=[f[0]["topics"][0], other, f[0]["topics"][2]])])
        with pytest.raises(HistoryInvalid, match=f"of task {task}, got one of {task + 1}"):
            ledger.history(task)

    def test_indexed_arguments_come_first_in_every_event(self) -> None:
        # `event_from_log` relies on it.
        for item in load_artifact().abi:
            if item["type"] == "event":
                indexed = [part["indexed"] for part in item["inputs"]]
                assert indexed == sorted(indexed, reverse=True), item["name"]

    def test_an_event_with_a_value_of_no_meaning(self) -> None:
        # RoundAborted in a phase that does not exist.
        topic = topic0(RoundAborted)
        log = {
            "topics": [topic, bytes(32), bytes(32)],
            "data": bytes(31) + b"\0" + bytes(31) + b"\x09",
        }
        with pytest.raises(HistoryInvalid, match="RoundAborted does not decode"):
            event_from_log(log)


def without(log: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in log.items() if key != name}


def first(found: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    return found[0] | fields


class FoundLogs:
    """What the devnet finds when it is asked for logs, to be changed on the way out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def change(self, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
        found = Database.find_logs

        def changed(*arguments: Any) -> list[dict[str, Any]]:
            return change(found(*arguments))

        self._monkeypatch.setattr(Database, "find_logs", changed)


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> FoundLogs:
    return FoundLogs(monkeypatch)


class TestRejections:
    def test_of_reads(self, ledger: Web3Ledger) -> None:
        with pytest.raises(TaskUnknown) as caught:
            ledger.task_state(10**6)
        assert caught.value == TaskUnknown(10**6)

    def test_of_calls_before_anything_is_sent(
        self, world: World, ledger: Web3Ledger, task: int
    ) -> None:
        w3 = connect(world.url)
        before = w3.eth.block_number
        with pytest.raises(CommitmentMissing):
            ledger.commit(task, 1, bytes(32))
        with pytest.raises(MemberUnknown) as caught:
            world.ledger(STRANGER).commit(task, 1, b"\1" * 32)
        assert caught.value == MemberUnknown(task, address_of(STRANGER))
        assert w3.eth.block_number == before

    def test_of_a_transaction_that_was_overtaken_and_reverted_in_its_block(
        self, world: World, ledger: Web3Ledger, task: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ledger.commit(task, 1, b"\1" * 32)
        monkeypatch.setattr(Chain, "estimate_gas", lambda *_: 200_000)
        with pytest.raises(AlreadyActed) as caught:
            ledger.commit(task, 1, b"\1" * 32)
        assert caught.value == AlreadyActed(ledger.account)

    def test_of_a_transaction_that_failed_for_no_reason_that_lasts(
        self, ledger: Web3Ledger, task: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Chain, "estimate_gas", lambda *_: 22_000)
        monkeypatch.setattr("chain.transactions.GAS_MARGIN", 0)
        with pytest.raises(UnknownRejection, match=r"transaction 0x.* failed in its block"):
            ledger.commit(task, 1, b"\1" * 32)

    @pytest.mark.parametrize("task", [-1, 1 << 256])
    def test_of_numbers_that_are_no_task(self, ledger: Web3Ledger, task: int) -> None:
        for call in (ledger.task_state, ledger.advance, ledger.history):
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
        with pytest.raises(AccountUnusable, match="read only"):
            reader.skip(task, 1)
        with pytest.raises(AccountUnusable, match="read only"):
            _ = reader.account


class TestSending:
    def test_a_chain_without_base_fee_gets_an_old_transaction(
        self, world: World, ledger: Web3Ledger, task: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        block = Methods._block
        monkeypatch.setattr(Methods, "_block", lambda *a: without(block(*a), "baseFeePerGas"))
        sent = ledger.skip(task, 1)
        assert sent.transaction is not None
        assert connect(world.url).eth.get_transaction(sent.transaction)["type"] == 0  # type: ignore[arg-type]

    def test_when_an_answer_was_lost_the_transaction_is_not_sent_twice(
        self, ledger: Web3Ledger, task: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        send = Chain.send

        def send_and_lose(chain: Chain, raw: bytes) -> bytes:
            send(chain, raw)
            raise Refused("nonce too low: what a node says to the same transaction again")

        monkeypatch.setattr(Chain, "send", send_and_lose)
        receipt = ledger.commit(task, 1, b"\1" * 32)
        assert [type(entry.event) for entry in receipt.entries] == [UpdateCommitted]

    def test_a_nonce_that_another_process_took_is_replaced(
        self, ledger: Web3Ledger, task: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        send, refusals = Chain.send, iter(["nonce too low", "replacement transaction underpriced"])

        def refuse_twice(chain: Chain, raw: bytes) -> bytes:
            for refusal in refusals:
                raise Refused(refusal)
            return send(chain, raw)

        monkeypatch.setattr(Chain, "send", refuse_twice)
        assert ledger.skip(task, 1).entries

    @pytest.mark.parametrize("refusal", ["nonce too low", "pool is full"])
    def test_a_node_that_goes_on_refusing(
        self, ledger: Web3Ledger, task: int, monkeypatch: pytest.MonkeyPatch, refusal: str
    ) -> None:
        def refuse(*_: object) -> bytes:
            raise Refused(refusal)

        monkeypatch.setattr(Chain, "send", refuse)
        with pytest.raises(LedgerUnusable, match=f"refused: {refusal}"):
            ledger.skip(task, 1)

    def test_a_block_that_does_not_come(
        self, world: World, task: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        impatient = world.ledger(MEMBERS[0], receipt_seconds=0.2)
        monkeypatch.setattr(Methods, "_find", lambda *_: None)
        with pytest.raises(ChainUnreachable, match=r"0\.2 seconds"):
            impatient.skip(task, 1)


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
        with pytest.raises(ChainUnreachable, match=r"no chain answers at .*Connection refused"):
            connect(f"http://127.0.0.1:{free_port()}")

    @pytest.mark.parametrize("url", ["", "127.0.0.1:8545", "ws://127.0.0.1:8545", "file:///x"])
    def test_no_http_endpoint(self, url: str) -> None:
        with pytest.raises(ChainUnreachable, match="expected an http"):
            connect(url)

    @pytest.mark.parametrize("body", [b"<html>", b"", b"[]", b"{}", b'"x"', b'{"result": 5}'])
    def test_something_else_listens(self, body: bytes) -> None:
        with web_page(body) as url, pytest.raises(LedgerUnusable):
            connect(url)

    def test_json_that_is_too_deep(self) -> None:
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(1_000)  # Python's own; py-evm, which a node does not load, lifts it
        try:
            with web_page(b"[" * 2_000) as url, pytest.raises(ChainUnreachable, match="Recursion"):
                connect(url)
        finally:
            sys.setrecursionlimit(limit)

    def test_a_status_is_a_refusal(self) -> None:
        with web_page(b"", 429) as url, pytest.raises(ChainRefused, match="HTTP 429 Too Many"):
            connect(url)

    @pytest.mark.parametrize("status", [200, 401])
    def test_no_error_repeats_the_key_in_a_url(self, status: int) -> None:
        with web_page(b"", status) as url, pytest.raises(LedgerUnusable) as caught:
            connect(url.replace("//", "//user:hidden@") + "/v3/hidden?key=hidden")
        assert url in str(caught.value)
        assert "hidden" not in str(caught.value)

    def test_a_phase_that_there_is_not(
        self, ledger: Web3Ledger, task: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        call = Chain.call

        def spoil(*arguments: Any) -> bytes:
            words = call(*arguments)
            return words[: 12 * 32] + (9).to_bytes(32, "big") + words[13 * 32 :]

        monkeypatch.setattr(Chain, "call", spoil)
        with pytest.raises(ChainUnreachable, match="9 is not a valid Phase"):
            ledger.task_state(task)

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
            assert len(ledger.history(task)) == 3


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def web_page(body: bytes, status: int = 200) -> Iterator[str]:
    class Page(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
