"""The devnet is an Ethereum node to any client, and what it has answered survives a kill."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from devnet_client import (
    INVALID,
    NOBODY,
    OTHER,
    POOR,
    RETURN_FF,
    REVERT_WITH_AA,
    RICH,
    STOP,
    STORE_42_AT_1,
    TOPIC_A,
    TOPIC_B,
    TOPIC_C,
    Client,
    log_code,
    post,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from chain.devnet import CHAIN_ID, FUNDS_WEI, devnet_in_thread, serve, serve_anvil
from chain.devnet.anvil import anvil_command
from chain.devnet.blocks import Chain
from chain.devnet.database import Database
from chain.devnet.framing import answer_body
from chain.devnet.http import MAX_REQUEST_BYTES
from chain.devnet.methods import Methods
from chain.errors import DevnetUnusable


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    database = tmp_path_factory.mktemp("devnet") / "chain.db"
    with devnet_in_thread(database, fund=[RICH.address, OTHER.address]) as url:
        yield Client(url)


class TestFraming:
    def test_a_request_as_curl_sends_it(self, client: Client) -> None:
        body = b'{"jsonrpc":"2.0","method":"eth_chainId","params":[],"id":1}'
        assert json.loads(post(client.url, body)) == {"jsonrpc": "2.0", "id": 1, "result": "0x7a69"}

    def test_params_may_be_left_out(self, client: Client) -> None:
        answer = client.ask({"jsonrpc": "2.0", "id": "a", "method": "eth_chainId"})
        assert answer == {"jsonrpc": "2.0", "id": "a", "result": "0x7a69"}

    @pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 9])
    def test_no_json(self, client: Client, body: bytes) -> None:
        assert json.loads(post(client.url, body))["error"]["code"] == -32700

    @pytest.mark.parametrize("request_", [1, "x", None, {}, {"method": 1}, {"id": 1}, []])
    def test_no_request(self, client: Client, request_: object) -> None:
        assert client.ask(request_)["error"]["code"] == -32600

    def test_unknown_method(self, client: Client) -> None:
        code, message = client.error("eth_mine_gold")
        assert (code, "eth_mine_gold" in message) == (-32601, True)

    def test_params_that_are_no_array(self, client: Client) -> None:
        answer = client.ask({"id": 1, "method": "eth_chainId", "params": {"a": 1}})
        assert answer["error"]["code"] == -32602

    def test_a_batch_is_answered_in_order_each_with_its_id(self, client: Client) -> None:
        methods = ["eth_chainId", "no_such", "net_version"]
        answers = client.ask([{"id": i, "method": m} for i, m in enumerate(methods)])
        assert [answer["id"] for answer in answers] == [0, 1, 2]
        assert answers[0]["result"] == "0x7a69"
        assert answers[1]["error"]["code"] == -32601
        assert answers[2]["result"] == "31337"

    def test_a_bad_request_does_not_spoil_its_batch(self, client: Client) -> None:
        answers = client.ask([17, {"id": 1, "method": "eth_chainId"}])
        assert (answers[0]["error"]["code"], answers[1]["result"]) == (-32600, "0x7a69")

    def test_a_batch_has_a_limit(self, client: Client) -> None:
        assert client.ask([{"id": 1, "method": "eth_chainId"}] * 1001)["error"]["code"] == -32600

    def test_a_notification_is_not_answered(self, client: Client) -> None:
        assert post(client.url, b'{"method":"eth_chainId"}') == b""
        assert post(client.url, b'[{"method":"eth_chainId"}]') == b""

    def test_the_body_has_a_limit(self, client: Client) -> None:
        with pytest.raises(urllib.error.HTTPError) as caught:
            post(client.url, b" " * (MAX_REQUEST_BYTES + 1))
        caught.value.close()
        assert caught.value.code == 413

    @settings(max_examples=30, deadline=None)
    @given(
        method=st.sampled_from(["eth_getLogs", "eth_call", "eth_getBlockByNumber", "eth_getCode"]),
        params=st.lists(
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("latest"),
                lambda inner: (
                    st.lists(inner, max_size=2)
                    | st.dictionaries(st.sampled_from(["to", "data", "topics", "fromBlock"]), inner)
                ),
            ),
            max_size=3,
        ),
    )
    def test_no_parameters_are_an_internal_error(
        self, client: Client, method: str, params: list[object]
    ) -> None:
        answer = client.answer(method, *params)
        if "result" not in answer:
            assert answer["error"]["code"] in {-32601, -32602, -32000, 3}, answer


class TestParams:
    @pytest.mark.parametrize(
        ("method", "params"),
        [
            ("eth_getBalance", []),
            ("eth_getBalance", ["0x12", "latest"]),
            ("eth_getBalance", [NOBODY, "0x01"]),
            ("eth_getBalance", [NOBODY, "newest"]),
            ("eth_getBalance", [NOBODY, 5]),
            ("eth_getBalance", [NOBODY, "latest", "more"]),
            ("eth_getBlockByHash", ["0x12", False]),
            ("eth_getTransactionReceipt", ["0x12"]),
            ("eth_getStorageAt", [NOBODY, "one", "latest"]),
            ("eth_sendRawTransaction", ["0xabc"]),
            ("eth_call", ["0x"]),
            ("eth_getLogs", [{"topics": [None] * 5}]),
            ("eth_getLogs", [{"topics": 1}]),
            ("eth_getLogs", [{"address": 1}]),
            ("eth_getLogs", [{"fromBlock": "0x1", "toBlock": "0x0"}]),
            ("eth_accounts", [None]),
            ("eth_feeHistory", ["0x1", "latest", 50]),
            ("evm_increaseTime", ["soon"]),
        ],
    )
    def test_wrong_parameters(self, client: Client, method: str, params: list[object]) -> None:
        assert client.error(method, *params)[0] == -32602

    def test_a_block_that_is_not_there(self, client: Client) -> None:
        assert client.error("eth_getBalance", NOBODY, "0xffffffffffffffffffff") == (
            -32000,
            "header not found",
        )
        assert client.result("eth_getBlockByNumber", "0xffffff", False) is None
        assert client.result("eth_getBlockByHash", "0x" + "00" * 32, False) is None
        assert client.result("eth_getTransactionByHash", "0x" + "00" * 32) is None
        assert client.receipt("0x" + "00" * 32) is None


class TestSpelling:
    def test_quantities_are_short_and_data_are_whole_bytes(self, client: Client) -> None:
        block_hash = client.receipt(client.send(log_code(TOPIC_A)))["blockHash"]
        block = client.result("eth_getBlockByHash", block_hash, True)
        receipt = client.receipt(block["transactions"][0]["hash"])
        quantities = {"number", "timestamp", "gasLimit", "gasUsed", "baseFeePerGas", "size"}
        data = {"hash", "parentHash", "stateRoot", "miner", "logsBloom", "extraData", "nonce"}
        for name in quantities:
            assert re.fullmatch("0x(0|[1-9a-f][0-9a-f]*)", block[name]), name
        for name in data:
            assert re.fullmatch("0x([0-9a-f]{2})*", block[name]), name
        assert len(block["hash"]) == len(block["mixHash"]) == 66
        assert len(block["logsBloom"]) == len(receipt["logsBloom"]) == 2 + 512
        assert int(receipt["logsBloom"], 16)
        assert receipt["logs"][0]["blockTimestamp"] == block["timestamp"]

    def test_a_creation_has_no_recipient_and_a_contract_address(self, client: Client) -> None:
        transaction = client.send(RETURN_FF)
        receipt = client.receipt(transaction)
        assert receipt["to"] is None
        assert client.result("eth_getTransactionByHash", transaction)["to"] is None
        assert client.result("eth_getCode", receipt["contractAddress"], "latest") == "0xff"

    def test_simple_facts(self, client: Client) -> None:
        assert client.result("eth_syncing") is False
        assert client.result("eth_accounts") == []
        assert "py-evm" in client.result("web3_clientVersion")
        tip = int(client.result("eth_maxPriorityFeePerGas"), 16)
        assert int(client.result("eth_gasPrice"), 16) >= tip > 0

    def test_a_pending_block_has_what_clients_parse_in_any_block(self, client: Client) -> None:
        pending = client.result("eth_getBlockByNumber", "pending", False)
        assert (pending["hash"], pending["transactions"]) == (None, [])
        for name in ("number", "difficulty", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas"):
            assert re.fullmatch("0x(0|[1-9a-f][0-9a-f]*)", pending[name]), name
        assert pending["extraData"].startswith("0x")

    def test_fee_history(self, client: Client) -> None:
        client.send()
        history = client.result("eth_feeHistory", "0x2", "latest", [50])
        assert len(history["baseFeePerGas"]) == 3
        assert len(history["gasUsedRatio"]) == len(history["reward"]) == 2
        assert 0 < history["gasUsedRatio"][-1] < 1


class TestTransactions:
    def test_one_transaction_is_one_block_and_is_found_by_its_hash(self, client: Client) -> None:
        before = int(client.result("eth_blockNumber"), 16)
        transaction = client.send(to=NOBODY, data="0x", value=5)
        block = client.result("eth_getBlockByNumber", "latest", False)
        assert int(block["number"], 16) == before + 1
        assert block["transactions"] == [transaction]
        assert client.receipt(transaction)["status"] == "0x1"
        found = client.result("eth_getTransactionByHash", transaction)
        assert (found["blockHash"], found["value"], found["input"]) == (block["hash"], "0x5", "0x")
        assert found["from"] == RICH.address.lower()

    def test_a_transaction_that_reverts_is_mined_and_has_status_0(self, client: Client) -> None:
        receipt = client.receipt(client.send(REVERT_WITH_AA))
        assert (receipt["status"], receipt["logs"]) == ("0x0", [])

    def test_old_kinds_of_transactions(self, client: Client) -> None:
        fields: dict[str, Any] = {"to": NOBODY, "value": 1, "gas": 21_000, "gasPrice": 10**10}
        legacy = RICH.sign_transaction(
            fields | {"nonce": client.nonce(RICH.address), "chainId": CHAIN_ID}
        )
        sent = client.result("eth_sendRawTransaction", "0x" + bytes(legacy.raw_transaction).hex())
        assert client.result("eth_getTransactionByHash", sent)["type"] == "0x0"

    def test_nonces_count_up_from_0_without_gaps(self, client: Client) -> None:
        client.send()
        nonce = client.nonce(RICH.address)
        low = client.error("eth_sendRawTransaction", client.sign(nonce=nonce - 1))
        high = client.error("eth_sendRawTransaction", client.sign(nonce=nonce + 1))
        assert low == (-32000, f"nonce too low: next nonce {nonce}, tx nonce {nonce - 1}")
        assert high == (-32000, f"nonce too high: next nonce {nonce}, tx nonce {nonce + 1}")

    def test_no_funds(self, client: Client) -> None:
        code, message = client.error("eth_sendRawTransaction", client.sign(value=10**30))
        assert code == -32000
        assert message.startswith("insufficient funds for gas * price + value: address 0x")

    def test_another_chain(self, client: Client) -> None:
        raw = client.sign(chainId=1)
        assert "invalid chain id" in client.error("eth_sendRawTransaction", raw)[1]

    @pytest.mark.parametrize("raw", ["0x", "0x00", "0x02", "0xc0", "0x02c0", "0xff", "0x05c0"])
    def test_malformed(self, client: Client, raw: str) -> None:
        code, message = client.error("eth_sendRawTransaction", raw)
        assert (code, message[:19]) == (-32000, "invalid transaction")

    def test_fees_below_the_base_fee(self, client: Client) -> None:
        raw = client.sign(maxFeePerGas=1, maxPriorityFeePerGas=1)
        assert client.error("eth_sendRawTransaction", raw)[0] == -32000

    def test_a_refused_transaction_leaves_no_trace(self, client: Client) -> None:
        before = client.result("eth_getBlockByNumber", "latest", False)
        client.error("eth_sendRawTransaction", client.sign(gas=31_000_000))
        assert client.result("eth_getBlockByNumber", "latest", False) == before
        client.send()


class TestCalls:
    def test_the_result_of_a_call(self, client: Client) -> None:
        assert client.result("eth_call", {"data": "0x" + RETURN_FF}, "latest") == "0xff"

    def test_a_revert_is_error_3_with_its_data(self, client: Client) -> None:
        for method in ("eth_call", "eth_estimateGas"):
            error = client.answer(method, {"data": "0x" + REVERT_WITH_AA})["error"]
            assert error == {"code": 3, "message": "execution reverted", "data": "0xaa"}

    def test_other_failures_have_no_data(self, client: Client) -> None:
        error = client.answer("eth_call", {"data": "0x" + INVALID})["error"]
        assert (error["code"], "data" in error) == (-32000, False)

    def test_too_little_gas(self, client: Client) -> None:
        assert "intrinsic gas" in client.error("eth_call", {"to": NOBODY, "gas": "0x1"})[1]

    def test_a_call_cannot_spend_what_is_not_there(self, client: Client) -> None:
        message = {"from": POOR.address, "to": NOBODY, "value": "0x1"}
        assert client.error("eth_call", message)[0] == -32000

    @pytest.mark.parametrize("code", [STOP, STORE_42_AT_1, RETURN_FF])
    def test_the_estimate_is_enough_and_one_less_is_not(self, client: Client, code: str) -> None:
        message = {"from": RICH.address, "data": "0x" + code}
        gas = int(client.result("eth_estimateGas", message), 16)
        assert client.receipt(client.send(code, gas=gas))["status"] == "0x1"
        assert "error" in client.answer("eth_call", message | {"gas": hex(gas - 1)})

    def test_storage_and_state_of_earlier_blocks(self, client: Client) -> None:
        receipt = client.receipt(client.send(STORE_42_AT_1))
        slot = (receipt["contractAddress"], "0x1")
        before = hex(int(receipt["blockNumber"], 16) - 1)
        assert int(client.result("eth_getStorageAt", *slot, "latest"), 16) == 42
        assert int(client.result("eth_getStorageAt", *slot, before), 16) == 0
        assert int(client.result("eth_getStorageAt", *slot, {"blockNumber": before}), 16) == 0
        by_hash = {"blockHash": receipt["blockHash"]}
        assert int(client.result("eth_getStorageAt", *slot, by_hash), 16) == 42


@pytest.fixture(scope="module")
def logs(client: Client) -> list[Any]:
    """Three logs in three blocks: (A, B), (A, C) and (B)."""
    codes = [log_code(TOPIC_A, TOPIC_B), log_code(TOPIC_A, TOPIC_C), log_code(TOPIC_B)]
    return [client.receipt(client.send(code))["logs"][0] for code in codes]


class TestLogs:
    @pytest.mark.parametrize(
        ("topics", "expected"),
        [
            ([], [0, 1, 2]),
            ([TOPIC_A], [0, 1]),
            ([[TOPIC_A, TOPIC_B]], [0, 1, 2]),
            ([None, TOPIC_B], [0]),
            ([TOPIC_A, [TOPIC_B, TOPIC_C]], [0, 1]),
            ([None, None], [0, 1]),
            ([[], []], [0, 1]),
            ([TOPIC_C], []),
        ],
    )
    def test_topics_are_by_place_with_choices_and_gaps(
        self, client: Client, logs: list[Any], topics: list[object], expected: list[int]
    ) -> None:
        query = {"fromBlock": logs[0]["blockNumber"], "toBlock": logs[2]["blockNumber"]}
        found = client.result("eth_getLogs", query | {"topics": topics})
        assert found == [logs[index] for index in expected]

    def test_addresses(self, client: Client, logs: list[Any]) -> None:
        addresses = [log["address"] for log in logs]
        query = {"fromBlock": "earliest"}
        assert client.result("eth_getLogs", query | {"address": addresses[1]}) == [logs[1]]
        assert client.result("eth_getLogs", query | {"address": addresses}) == logs
        assert client.result("eth_getLogs", query | {"address": NOBODY}) == []

    def test_ranges(self, client: Client, logs: list[Any]) -> None:
        middle = logs[1]["blockNumber"]
        assert client.result("eth_getLogs", {"fromBlock": middle, "toBlock": middle}) == [logs[1]]
        assert client.result("eth_getLogs", {"blockHash": logs[1]["blockHash"]}) == [logs[1]]

    def test_an_unknown_block(self, client: Client) -> None:
        assert client.error("eth_getLogs", {"blockHash": "0x" + "00" * 32})[0] == -32000


class TestTime:
    def test_many_blocks_in_a_second_do_not_run_ahead_of_the_clock(self, client: Client) -> None:
        times = []
        for _ in range(12):
            client.result("evm_mine")
            times.append(
                int(client.result("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
            )
        assert times == sorted(times)
        assert times[-1] <= time.time()

    def test_the_clock_can_be_moved_ahead_and_stays_there_over_a_restart(
        self, tmp_path: Path
    ) -> None:
        started = int(time.time())
        with devnet_in_thread(tmp_path / "chain.db") as url:
            client = Client(url)
            assert client.result("evm_increaseTime", 1000) == hex(1000)
            assert pending_time(client) >= started + 1000
            client.result("evm_mine")
        with devnet_in_thread(tmp_path / "chain.db") as url:
            assert pending_time(Client(url)) >= started + 1000

    def test_an_estimate_runs_in_the_time_of_the_next_block(self, tmp_path: Path) -> None:
        # Reverts unless the block's time is past: PUSH4 limit TIMESTAMP GT PUSH1 0f JUMPI, revert.
        limit = int(time.time()) + 500
        code = f"63{limit:08x}4211600f5760006000fd5b00"
        with devnet_in_thread(tmp_path / "chain.db") as url:
            client = Client(url)
            assert client.error("eth_estimateGas", {"data": "0x" + code})[0] == 3
            client.result("evm_increaseTime", "0x3e8")
            assert client.result("eth_estimateGas", {"data": "0x" + code})


def pending_time(client: Client) -> int:
    return int(client.result("eth_getBlockByNumber", "pending", False)["timestamp"], 16)


class TestFunds:
    def test_accounts_named_at_the_start_are_funded(self, client: Client) -> None:
        assert client.result("eth_getBalance", OTHER.address, "latest") == hex(FUNDS_WEI)

    def test_a_balance_can_be_raised_to_an_amount(self, client: Client) -> None:
        address = "0x" + "ab" * 20
        for wei in (5, 9, 9):
            assert client.result("anvil_setBalance", address, hex(wei)) is None
            assert client.result("eth_getBalance", address, "latest") == hex(wei)

    def test_and_not_lowered(self, client: Client) -> None:
        code, message = client.error("hardhat_setBalance", OTHER.address, "0x1")
        assert (code, "can only be raised" in message) == (-32000, True)

    def test_nor_raised_beyond_what_there_is(self, client: Client) -> None:
        assert client.error("anvil_setBalance", "0x" + "ab" * 20, hex(10**31))[0] == -32000


SERVE = """
import sys
from pathlib import Path
from chain.devnet import serve
serve(Path(sys.argv[1]), port=0, fund=sys.argv[2:])
"""


@contextmanager
def devnet_process(database: Path) -> Iterator[tuple[Client, subprocess.Popen[str]]]:
    command = [sys.executable, "-c", SERVE, str(database), RICH.address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            ready = json.loads(process.stdout.readline())
            assert ready["chain_id"] == CHAIN_ID
            yield Client(ready["url"]), process
        finally:
            process.kill()


class TestDurability:
    @pytest.mark.slow
    def test_what_was_answered_before_a_kill_is_there_after_it(self, tmp_path: Path) -> None:
        with devnet_process(tmp_path / "chain.db") as (client, process):
            sent = [client.send(log_code(TOPIC_A)) for _ in range(5)]
            receipts = [client.receipt(transaction) for transaction in sent]
            head = client.result("eth_getBlockByNumber", "latest", True)
            logs = client.result("eth_getLogs", {"fromBlock": "earliest"})
            balance = client.result("eth_getBalance", RICH.address, "latest")
            os.kill(process.pid, signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        with devnet_in_thread(tmp_path / "chain.db", fund=[RICH.address]) as url:
            client = Client(url)
            assert [client.receipt(transaction) for transaction in sent] == receipts
            assert client.result("eth_getLogs", {"fromBlock": "earliest"}) == logs
            refunded = client.result("eth_getBlockByNumber", head["number"], True)
            assert refunded == head
            before_restart = client.result("eth_getBalance", RICH.address, head["number"])
            assert (before_restart, client.nonce(RICH.address)) == (balance, 5)
            client.send()

    def test_a_termination_is_clean(self, tmp_path: Path) -> None:
        def terminate(_url: str) -> None:
            signal.raise_signal(signal.SIGTERM)

        serve(tmp_path / "chain.db", port=0, on_ready=terminate)
        Database(tmp_path / "chain.db").close()  # it let go of the file

    @pytest.mark.slow
    def test_a_kill_in_the_middle_of_the_work_loses_nothing_that_was_answered(
        self, tmp_path: Path
    ) -> None:
        sent: list[str] = []
        enough = threading.Event()

        def work(client: Client) -> None:
            try:
                while True:
                    sent.append(client.send(log_code(TOPIC_A)))
                    if len(sent) == 10:
                        enough.set()
            except OSError:
                return

        with devnet_process(tmp_path / "chain.db") as (client, process):
            worker = threading.Thread(target=work, args=(client,))
            worker.start()
            assert enough.wait(30)
            os.kill(process.pid, signal.SIGKILL)
            worker.join()
        with devnet_in_thread(tmp_path / "chain.db") as url:
            client = Client(url)
            assert all(client.receipt(transaction)["status"] == "0x1" for transaction in sent)
            logs = client.result("eth_getLogs", {"fromBlock": "earliest"})
            assert client.nonce(RICH.address) == len(logs) >= len(sent)
            client.send()

    def test_on_a_full_disk_a_block_is_refused_as_a_whole(self, tmp_path: Path) -> None:
        database = Database(tmp_path / "chain.db")
        methods = Methods(Chain(database, CHAIN_ID))
        address = "0x" + "ab" * 20

        def raise_balance(wei: int) -> Any:
            params = [address, hex(wei)]
            request = {"id": 1, "method": "anvil_setBalance", "params": params}
            return json.loads(answer_body(methods, json.dumps(request).encode()))

        def head() -> Any:
            return methods.call("eth_getBlockByNumber", ["latest", True])

        database.limit(1)  # SQLite then allows what there is, and no page more
        answers = [raise_balance(wei) for wei in range(1, 20)]
        failures = [answer["error"]["message"] for answer in answers if "error" in answer]
        assert failures == ["the devnet's database: database or disk is full"] * len(failures)
        mined = len(answers) - len(failures)
        assert failures
        assert int(head()["number"], 16) == mined

        database.limit(1 << 20)
        assert raise_balance(100)["result"] is None
        assert int(head()["number"], 16) == mined + 1
        assert methods.call("eth_getBalance", [address]) == hex(100)
        database.close()


class TestUnusable:
    def test_a_database_in_use(self, tmp_path: Path) -> None:
        with (
            devnet_in_thread(tmp_path / "chain.db"),
            pytest.raises(DevnetUnusable, match="in use by another devnet"),
        ):
            Database(tmp_path / "chain.db")

    def test_a_file_that_is_no_database(self, tmp_path: Path) -> None:
        (tmp_path / "chain.db").write_text("something else entirely, and long enough to be read")
        with pytest.raises(DevnetUnusable, match="not a database"):
            Database(tmp_path / "chain.db")

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(DevnetUnusable, match="unable to open"):
            Database(tmp_path / "none" / "chain.db")

    def test_a_chain_of_another_id(self, tmp_path: Path) -> None:
        with devnet_in_thread(tmp_path / "chain.db", chain_id=1337):
            pass
        with (
            pytest.raises(
                DevnetUnusable, match=r"chain\.db: holds a chain with id 1337, expected 31337"
            ),
            devnet_in_thread(tmp_path / "chain.db"),
        ):
            pass

    def test_a_port_that_is_taken(self, client: Client, tmp_path: Path) -> None:
        port = int(client.url.rsplit(":", 1)[1])
        with pytest.raises(DevnetUnusable, match=f"cannot listen on 127.0.0.1:{port}"):
            serve(tmp_path / "chain.db", port=port)

    def test_anvil_that_is_not_installed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(DevnetUnusable, match="anvil is not on the PATH"):
            serve_anvil(tmp_path / "state.json")

    def test_anvil_keeps_its_state_in_the_file(self, tmp_path: Path) -> None:
        command = anvil_command("anvil", tmp_path / "state.json", "127.0.0.1", 8545, 31337)
        assert command[-8:] == [
            *("--host", "127.0.0.1", "--port", "8545"),
            *("--chain-id", "31337", "--state", str(tmp_path / "state.json")),
        ]
        assert "--no-cors" in command  # without it, any page in a browser may use anvil
