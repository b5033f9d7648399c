"""A transaction that lasts: who tells others of a contract or a task waits until no reorganisation takes it back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from proxy import Proxy, changed, proxy_to

from chain import lasting
from chain.accounts import address_of, dev_account
from chain.deploy import Deployment, deploy
from chain.devnet import devnet_in_thread
from chain.errors import TransactionFailed
from chain.lasting import lasts
from chain.looking import IDLE_SECONDS, Settling
from chain.types import TaskOpened, Terms
from chain.web3_ledger import Web3Ledger

TERMS = Terms(2, 600, 600, 600, 10_000, 1, 1, 5_000)
PAYER = dev_account(23, 0)


class TestABlock:
    @pytest.mark.parametrize(
        ("newest", "final", "settling", "stays"),
        [
            (7, 0, 0, True),
            (8, 0, 2, False),
            (9, 0, 2, True),
            (99, 6, "finalized", False),
            (99, 7, "finalized", True),
        ],
    )
    def test_stays_if_it_is_deep(
        self, newest: int, final: int, settling: Settling, stays: bool
    ) -> None:
        assert lasts(7, newest, final, 0.0, settling) is stays

    def test_stays_where_no_other_follows(self) -> None:
        assert lasts(7, 7, 0, IDLE_SECONDS + 1, 2)
        assert not lasts(7, 7, 0, IDLE_SECONDS + 1, "finalized")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    database = tmp_path_factory.mktemp("devnet") / "chain.db"
    with devnet_in_thread(database, fund=[address_of(PAYER)]) as url:
        yield url


@pytest.fixture(scope="module")
def deployed(url: str) -> Deployment:
    return deploy(url, PAYER)


@pytest.fixture
def line(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """An endpoint of the chain on which each look at the newest block finds one more."""
    monkeypatch.setattr(lasting, "POLL_SECONDS", 0.0)
    with proxy_to(url) as proxy:
        looks = iter(range(1 << 20))

        def later(request: dict[str, Any], ask: Any) -> Any:
            seen = next(looks) // 4
            return changed(
                ask(), lambda block: block | {"number": hex(int(block["number"], 16) + seen)}
            )

        proxy.on("eth_getBlockByNumber", later)
        yield proxy


class Receipts:
    """The receipts of an endpoint; after the first they come from another history."""

    def __init__(self, proxy: Proxy, **fields: str) -> None:
        self.asked = 0
        self._fields: dict[str, str] | None = fields or None
        proxy.on("eth_getTransactionReceipt", self._answer)

    def _answer(self, request: dict[str, Any], ask: Any) -> Any:
        answer = ask()
        if answer.get("result") is None:
            return answer
        self.asked += 1
        if self.asked == 1:
            return answer
        return changed(answer, lambda receipt: self._fields and {**receipt, **self._fields})


def opened(deployed: Deployment, line: Proxy, settling: Settling, seconds: float = 60.0) -> Any:
    ledger = Web3Ledger(
        line.url,
        deployed.address,
        PAYER,
        settling=settling,
        lasting=True,
        receipt_seconds=seconds,
    )
    return ledger.open_task(b"\1" * 32, b"\2" * 32, [address_of(PAYER)], TERMS)


def test_a_call_returns_when_its_block_is_deep(deployed: Deployment, line: Proxy) -> None:
    receipt = opened(deployed, line, 3)
    assert any(isinstance(entry.event, TaskOpened) for entry in receipt.entries)
    assert line.asked.count("eth_getTransactionReceipt") > 3


def test_a_contract_is_deployed_when_its_block_is_deep(line: Proxy) -> None:
    deployment = deploy(line.url, PAYER, settling=3)
    assert deployment.block > 0
    assert line.asked.count("eth_getTransactionReceipt") > 3


def test_a_call_returns_when_its_block_is_final(deployed: Deployment, line: Proxy) -> None:
    assert opened(deployed, line, "finalized").entries


def test_a_call_returns_at_once_where_nothing_is_waited_for(
    deployed: Deployment, line: Proxy
) -> None:
    receipts = Receipts(line)
    opened(deployed, line, 0)
    assert receipts.asked == 1


def test_what_a_reorganisation_moved_is_told_from_its_new_block(
    deployed: Deployment, line: Proxy
) -> None:
    Receipts(line, gasUsed=hex(123_456))
    assert opened(deployed, line, 3).gas_used == 123_456


def test_what_a_reorganisation_took_back_is_an_error(deployed: Deployment, line: Proxy) -> None:
    Receipts(line)
    with pytest.raises(TransactionFailed, match=r"has taken transaction 0x[0-9a-f]{64} back"):
        opened(deployed, line, 3, seconds=4.0)


def test_what_fails_in_its_new_block_is_an_error(deployed: Deployment, line: Proxy) -> None:
    Receipts(line, status="0x0")
    with pytest.raises(TransactionFailed, match=r"moved transaction .* where it failed"):
        opened(deployed, line, 3)
