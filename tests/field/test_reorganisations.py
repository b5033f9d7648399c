"""What a reorganisation drops is noticed soon and sent again; the receipt wait is not sat out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from chains import Chain, missing, start_chain
from sites import light_manifest, members, open_site, undisturbed

from chain.accounts import address_of, dev_account
from chain.connection import connect
from chain.transactions import send

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing("anvil")), reason=missing("anvil")),
]

SENDER = dev_account(6, 0)
DEPTH, REORGANISATIONS = 2, 3
STOP = bytes([0])
"""Code of a contract that does nothing."""


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    """It makes a block only when it is told to."""
    with start_chain("anvil", tmp_path, [SENDER.address], words=["--no-mining"]) as started:
        yield started


def waiting(chain: Chain) -> list[str]:
    """The hashes of the sender's transactions that the node knows and no block has."""
    pool: Any = chain.ask("txpool_content")["pending"]
    return [one["hash"] for of in pool.values() for one in of.values()]


def until(true: Callable[[], Any], seconds: float = 60) -> Any:
    """The first true value; fails if it takes too long."""
    ends = threading.Event()
    timer = threading.Timer(seconds, ends.set)
    timer.start()
    try:
        while not (value := true()):
            assert not ends.wait(0.02), "it took too long"
        return value
    finally:
        timer.cancel()


def wait_for_blocks(chain: Chain, count: int) -> None:
    first = height(chain)
    until(lambda: height(chain) >= first + count)


def height(chain: Chain) -> int:
    return int(chain.ask("eth_blockNumber"), 16)


def test_a_transaction_that_the_node_forgets_is_sent_again(chain: Chain) -> None:
    with ThreadPoolExecutor(1) as threads:
        receipt = threads.submit(send, connect(chain.url), SENDER, STOP)
        (first,) = until(lambda: waiting(chain))
        chain.ask("anvil_dropTransaction", first)
        assert until(lambda: waiting(chain)) == [first], "the same bytes"
        chain.ask("evm_mine")
        assert receipt.result(60).transaction.hex() == first[2:]


def test_one_that_a_reorganisation_drops_is_sent_again(chain: Chain) -> None:
    """The block that had it is gone before its receipt was read."""
    with ThreadPoolExecutor(1) as threads:
        kept = chain.ask("evm_snapshot")
        receipt = threads.submit(send, connect(chain.url), SENDER, STOP)
        (first,) = until(lambda: waiting(chain))
        chain.ask("evm_revert", kept)
        assert until(lambda: waiting(chain)) == [first]
        chain.ask("evm_mine")
        assert receipt.result(60).succeeded


def test_another_transaction_with_the_nonce_is_no_end(chain: Chain) -> None:
    """Two processes with one key: the one whose nonce was taken sends with the next."""
    with ThreadPoolExecutor(1) as threads:
        receipt = threads.submit(send, connect(chain.url), SENDER, STOP)
        (first,) = until(lambda: waiting(chain))
        chain.ask("anvil_dropTransaction", first)
        other = {"to": SENDER.address, "gas": 21_000, "value": 1, "nonce": 0, "chainId": 31337}
        fees = {"maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**10}
        raw = bytes(SENDER.sign_transaction({**other, **fees}).raw_transaction)
        chain.ask("eth_sendRawTransaction", "0x" + raw.hex())
        chain.ask("evm_mine")
        until(lambda: [one for one in waiting(chain) if one != first])
        chain.ask("evm_mine")
        assert receipt.result(60).succeeded
        assert int(chain.ask("eth_getTransactionCount", SENDER.address, "latest"), 16) == 2


def test_nodes_that_wait_for_depth_end_with_the_same_model(tmp_path: Path) -> None:
    """The last blocks go again and again, with commits, reveals, attestations and the end of a round in them."""
    funded = [address_of(signer) for signer in members(3)]
    manifest = light_manifest(3, count=3)
    with (
        start_chain("anvil", tmp_path, funded, 1) as chain,
        open_site(tmp_path, chain, manifest) as site,
    ):
        site.start_all("--poll", "0.2", "--settled", str(DEPTH))
        for number in range(1, REORGANISATIONS + 1):
            wait_for_blocks(chain, 3 + number)
            chain.ask("anvil_reorg", DEPTH, [])
        site.finish()
        report = site.audited()
    assert not report.findings
    assert report.final_digest == undisturbed(manifest).hex()
