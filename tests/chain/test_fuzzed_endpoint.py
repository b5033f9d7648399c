"""Whatever an endpoint makes of its answers, this package's errors and nothing else leave the ledger, in time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from mutated import mutated_bytes, mutated_json
from proxy import EVERY, Answer, Proxy, Reply, proxy_to

from chain.accounts import Signer, address_of, dev_accounts
from chain.deploy import deploy
from chain.devnet import devnet_in_thread
from chain.errors import LedgerError
from chain.types import TaskOpened, Terms
from chain.web3_ledger import Web3Ledger

INPUTS = 40
"""Spoilt answers for each call."""

TERMS = Terms(2, 600, 600, 600, 10_000, 2, 2, 5_000)
SIGNERS: list[Signer] = dev_accounts(5, 2)
MEMBERS = [address_of(signer) for signer in SIGNERS]
SECONDS = 40.0
"""More than any call takes that is answered at once: a few requests, and waits for a connection that breaks."""


@dataclass(frozen=True)
class Stage:
    """A task in which its first member has acted, seen through an endpoint that can be made strange."""

    proxy: Proxy
    ledger: Web3Ledger
    task: int
    transaction: bytes


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    database = tmp_path_factory.mktemp("devnet") / "chain.db"
    with devnet_in_thread(database, fund=MEMBERS) as url, proxy_to(url) as proxy:
        ledger = Web3Ledger(
            proxy.url,
            deploy(proxy.url, SIGNERS[0]).address,
            SIGNERS[0],
            request_seconds=SECONDS / 4,
            receipt_seconds=0,
        )
        opened = ledger.open_task(b"\1" * 32, b"\2" * 32, MEMBERS, TERMS).entries[0].event
        assert isinstance(opened, TaskOpened)
        acted = ledger.commit(opened.task, 1, b"\3" * 32)
        assert acted.transaction is not None
        yield Stage(proxy, ledger, opened.task, acted.transaction)


CALLS: dict[str, Callable[[Stage], object]] = {
    "connect": lambda stage: Web3Ledger(stage.proxy.url, stage.ledger.contract),
    "deploy": lambda stage: deploy(stage.proxy.url, SIGNERS[0]),
    "task_state": lambda stage: stage.ledger.task_state(stage.task),
    "task_count": lambda stage: stage.ledger.task_count(),
    "history": lambda stage: list(stage.ledger.history(stage.task)),
    "opening": lambda stage: stage.ledger.opening(stage.task),
    "look": lambda stage: stage.ledger.look(stage.task),
    "gas_used": lambda stage: stage.ledger.gas_used(stage.transaction),
    "refused": lambda stage: stage.ledger.commit(stage.task, 1, b"\3" * 32),
    "sent": lambda stage: stage.ledger.open_task(b"\1" * 32, b"\2" * 32, MEMBERS, TERMS),
}


def spoil(seed: str) -> Callable[[Any, Callable[[], Answer]], Answer | Reply]:
    """Spoil one answer in three, in a way that follows from the seed."""
    random = Random(seed)

    def handle(request: Any, ask: Callable[[], Answer]) -> Answer | Reply:
        answer = ask()
        if random.random() < 0.6:
            return answer
        if random.random() < 0.3:
            return Reply(mutated_bytes(answer, random))
        return Reply(json.dumps(mutated_json(answer, random, random.randint(1, 3))).encode())

    return handle


@pytest.mark.parametrize("call", CALLS)
def test_only_this_packages_errors_leave_the_ledger(stage: Stage, call: str) -> None:
    failed = 0
    for number in range(INPUTS):
        stage.proxy.on(EVERY, spoil(f"{call} {number}"))
        began = time.monotonic()
        try:
            CALLS[call](stage)
        except LedgerError as error:
            failed += 1
            assert str(error).isprintable(), (call, number)
            assert len(str(error)) < 5_000, (call, number)
        finally:
            stage.proxy.restore()
        assert time.monotonic() - began < SECONDS, (call, number)
    assert 0 < failed <= INPUTS
