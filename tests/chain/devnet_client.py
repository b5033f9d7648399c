"""What curl would do with a devnet: JSON in, JSON out; and short contracts to send it."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

from chain.accounts import dev_account, to_address
from chain.devnet import CHAIN_ID

RICH, OTHER, POOR = (dev_account(1, index) for index in range(3))
NOBODY = to_address("0x" + "be" * 20)

STOP = "00"
REVERT_WITH_AA = "60aa60005360016000fd"
INVALID = "fe"
STORE_42_AT_1 = "602a600155"
RETURN_FF = "60ff60005360016000f3"


TOPIC_A, TOPIC_B, TOPIC_C = ("0x" + text * 32 for text in ("a1", "b2", "c3"))


def log_code(*topics: str) -> str:
    """Code that writes a log of no data."""
    pushes = "".join("7f" + topic[2:] for topic in reversed(topics))
    return f"{pushes}60006000a{len(topics)}"


def post(url: str, body: bytes) -> bytes:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        assert response.headers["Content-Type"].startswith("application/json")
        content: bytes = response.read()
        return content


class Client:
    """What curl would do: JSON in, JSON out."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, request: object) -> Any:
        return json.loads(post(self.url, json.dumps(request).encode()))

    def answer(self, method: str, *params: object) -> Any:
        return self.ask({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})

    def result(self, method: str, *params: object) -> Any:
        answer = self.answer(method, *params)
        assert answer.keys() == {"jsonrpc", "id", "result"}, answer
        return answer["result"]

    def error(self, method: str, *params: object) -> tuple[int, str]:
        error = self.answer(method, *params)["error"]
        return error["code"], error["message"]

    def nonce(self, address: str) -> int:
        return int(self.result("eth_getTransactionCount", address, "latest"), 16)

    def send(self, code: str = STOP, **fields: Any) -> str:
        """Send a contract creation that runs `code`, or what `fields` make of it."""
        return str(self.result("eth_sendRawTransaction", self.sign(code, **fields)))

    def sign(self, code: str = STOP, **fields: Any) -> str:
        transaction = {
            "nonce": self.nonce(RICH.address),
            "gas": 200_000,
            "maxFeePerGas": 10**10,
            "maxPriorityFeePerGas": 10**9,
            "chainId": CHAIN_ID,
            "value": 0,
            "data": "0x" + code,
        } | fields
        return "0x" + bytes(RICH.sign_transaction(transaction).raw_transaction).hex()

    def receipt(self, transaction: str) -> Any:
        return self.result("eth_getTransactionReceipt", transaction)
