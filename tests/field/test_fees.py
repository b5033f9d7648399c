"""A transaction whose fees no longer suffice is replaced by one that pays more, up to the most that its owner pays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chains import Chain, Kind, missing, start_chain
from eth_utils.crypto import keccak
from proxy import Proxy, proxy_to

from chain import sending
from chain.accounts import Signer, dev_account
from chain.connection import connect
from chain.errors import ChainRefused, ChainUnreachable
from chain.transactions import send

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing("edr")), reason=missing("edr")),
]

GWEI = 10**9
PAYER, OTHER = dev_account(5, 0), dev_account(5, 1)
STOP = bytes([0])
"""Code of a contract that does nothing."""


@pytest.fixture(scope="module", params=[0, 1], ids=["automine", "interval"])
def chain(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Chain]:
    """With a block for each transaction, EDR refuses what pays too little; with a block a second it keeps it."""
    folder = tmp_path_factory.mktemp("edr")
    accounts = [PAYER.address, OTHER.address]
    with start_chain("edr", folder, accounts, request.param) as started:
        yield started


@pytest.fixture
def proxy(chain: Chain) -> Iterator[Proxy]:
    """Before a chain whose base fee is neither what the last test left, nor sunk to nothing since."""
    chain.ask("hardhat_setNextBlockBaseFeePerGas", hex(10 * GWEI))
    chain.ask("evm_mine")
    with proxy_to(chain.url) as strange:
        yield strange


def raise_base_fee(chain: Chain, proxy: Proxy, wei: int) -> list[str]:
    """The next block's base fee jumps just before the first transaction arrives; gives what is sent from then on."""
    sent: list[str] = []

    def handle(request: Any, ask: Any) -> Any:
        if not sent:
            chain.ask("hardhat_setNextBlockBaseFeePerGas", hex(wei))
        sent.append(request["params"][0])
        return ask()

    proxy.on("eth_sendRawTransaction", handle)
    return sent


def transaction(chain: Chain, raw: str) -> Any:
    return chain.ask("eth_getTransactionByHash", "0x" + keccak(hexstr=raw).hex())


def nonce(chain: Chain, signer: Signer, which: str) -> int:
    return int(chain.ask("eth_getTransactionCount", signer.address, which), 16)


def base_fee(chain: Chain) -> int:
    return int(chain.ask("eth_getBlockByNumber", "pending", False)["baseFeePerGas"], 16)


def test_under_a_risen_base_fee_it_is_replaced_with_the_same_nonce(
    chain: Chain, proxy: Proxy
) -> None:
    before = nonce(chain, PAYER, "latest")
    sent = raise_base_fee(chain, proxy, 100 * base_fee(chain))
    receipt = send(connect(proxy.url), PAYER, STOP, seconds=60)
    assert receipt.succeeded
    assert len(sent) == 2
    assert nonce(chain, PAYER, "latest") == before + 1
    mined = transaction(chain, sent[1])
    assert mined["hash"] == "0x" + receipt.transaction.hex()


def test_it_pays_no_more_than_its_owner_allows(chain: Chain, proxy: Proxy) -> None:
    cap = 2 * base_fee(chain) + 3 * GWEI
    raise_base_fee(chain, proxy, 50 * cap)
    with pytest.raises((ChainUnreachable, ChainRefused)):
        send(connect(proxy.url), OTHER, STOP, seconds=3, most_wei_per_gas=cap)
    with pytest.raises(ChainRefused, match=f"at most {cap} are paid"):
        send(connect(proxy.url), PAYER, STOP, seconds=3, most_wei_per_gas=cap)


def leave_stuck(chain: Chain) -> None:
    """A transaction of the payer's that pays too little for the forty blocks to come, each an eighth cheaper."""
    stuck = {
        "to": OTHER.address,
        "gas": 50_000,
        "value": 1,
        "maxFeePerGas": 10 * GWEI,
        "maxPriorityFeePerGas": GWEI,
        "nonce": nonce(chain, PAYER, "latest"),
        "chainId": int(chain.ask("eth_chainId"), 16),
    }
    raw = bytes(PAYER.sign_transaction(stuck).raw_transaction)
    chain.ask("evm_setIntervalMining", 0)
    chain.ask("eth_sendRawTransaction", "0x" + raw.hex())
    chain.ask("hardhat_setNextBlockBaseFeePerGas", hex(3000 * GWEI))
    chain.ask("evm_setIntervalMining", 1 if chain.kind == "anvil" else 1000)


@pytest.mark.parametrize("kind", ["anvil", "edr"])
def test_an_account_with_an_older_transaction_that_no_block_takes_is_freed(
    tmp_path: Path, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason := missing(kind):
        pytest.skip(reason)
    monkeypatch.setattr(sending, "STALE_BLOCKS", 2)
    with start_chain(kind, tmp_path, [PAYER.address], 1) as chain:
        leave_stuck(chain)
        assert nonce(chain, PAYER, "latest") == 0
        assert send(connect(chain.url), PAYER, STOP, seconds=60).succeeded
        assert base_fee(chain) > 10 * GWEI, "it came into a block by itself"
        assert nonce(chain, PAYER, "pending") == nonce(chain, PAYER, "latest")
