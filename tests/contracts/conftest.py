"""The contract on a chain that each test finds as it was deployed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from evm_ledger import EvmChain, EvmLedger
from stage import Stage

from chain.memory_ledger import MemoryLedger


@pytest.fixture(scope="session")
def deployed() -> EvmChain:
    return EvmChain()


@pytest.fixture
def chain(deployed: EvmChain) -> Iterator[EvmChain]:
    """The chain, taken back after the test."""
    snapshot = deployed.tester.take_snapshot()
    yield deployed
    deployed.tester.revert_to_snapshot(snapshot)


@pytest.fixture
def contract(chain: EvmChain) -> Stage:
    """A stage on the compiled contract."""
    ledger = EvmLedger(chain, chain.accounts[0])
    return Stage(ledger, ledger.acting_as, chain.travel, chain.accounts, chain.signers)


@pytest.fixture
def model(deployed: EvmChain) -> Stage:
    """A stage on the model in Python."""
    clock = [1_800_000_000]
    ledger = MemoryLedger(deployed.accounts[0], clock=lambda: clock[0])

    def travel(to: int) -> None:
        clock[0] = to

    return Stage(ledger, ledger.acting_as, travel, deployed.accounts, deployed.signers)


@pytest.fixture(params=["contract", "model"])
def stage(request: Any) -> Stage:
    """The same specification holds for the contract and for its model."""
    return request.getfixturevalue(request.param)
