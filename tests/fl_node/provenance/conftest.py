"""A key, and a statement about a model."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from chain.types import Address
from fl_node.provenance.claim import Claim
from fl_node.provenance.statement import Statement


@pytest.fixture(scope="session")
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def statement() -> Statement:
    claim = Claim(
        chain_id=31337,
        contract=Address("0x279cD4a5bAdE3F7833aE9Dd311dF38c73bE37Fec"),
        task=1,
        round=3,
        model_digest=bytes([1]) * 32,
        history_head=bytes([2]) * 32,
    )
    return Statement("model.safetensors", bytes([3]) * 32, claim)
