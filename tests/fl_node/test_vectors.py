"""The golden vectors: small files whose digests must never change, because they are on chains.

A deliberate change of format is a new format number and new vectors beside these. To write the files of a new
vector, run this file with `python tests/fl_node/test_vectors.py`; it never changes one that exists.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from chain.types import Address
from fl_node.aggregation import weighted_mean
from fl_node.encoding import (
    UpdateHeader,
    decode_model,
    decode_update,
    digest_of,
    encode_model,
    encode_update,
)
from fl_node.manifest import build_manifest, parse_manifest

VECTORS = Path(__file__).parents[1] / "vectors"
DIGESTS = VECTORS / "digests.json"
CLIENTS = tuple(Address(f"0x{number:040x}") for number in (1, 2))


def build() -> dict[str, bytes]:
    """Every vector, made from nothing but literals and the functions under test."""
    manifest = build_manifest(
        {"name": "vector", "seed": 1, "members": list(CLIENTS), "rounds": {"count": 2}}
    )
    parent = {
        "generator.weight": np.array([[0.5, -1.25, 3.0], [1e-8, 1e8, -0.0]], np.float32),
        "generator.bias": np.array([1 / 3, 2 / 3], np.float64),
    }
    steps = [
        {
            "generator.weight": np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], np.float32) * sign,
            "generator.bias": np.array([0.7, 0.8], np.float32),
        }
        for sign in (1, -3)
    ]
    model = encode_model(parent)
    headers = [
        UpdateHeader(1, 1, client, digest_of(model), examples)
        for client, examples in zip(CLIENTS, (3, 4), strict=True)
    ]
    updates = [encode_update(*pair) for pair in zip(headers, steps, strict=True)]
    aggregate = encode_model(weighted_mean(parent, map(decode_update, updates)))
    return {
        "manifest.json": manifest.to_bytes(),
        "model.safetensors": model,
        "update_1.safetensors": updates[0],
        "update_2.safetensors": updates[1],
        "aggregate.safetensors": aggregate,
    }


def read(name: str) -> bytes:
    return (VECTORS / name).read_bytes()


@pytest.mark.parametrize("name", sorted(build()))
def test_the_bytes_are_the_golden_ones(name):
    assert build()[name] == read(name)
    assert digest_of(read(name)).hex() == json.loads(DIGESTS.read_text())[name]


def test_the_golden_files_can_be_read():
    parse_manifest(read("manifest.json"))
    parent = decode_model(read("model.safetensors"))
    updates = [decode_update(read(f"update_{number}.safetensors")) for number in (1, 2)]
    assert [update.header.client for update in updates] == list(CLIENTS)
    assert encode_model(weighted_mean(parent, updates)) == read("aggregate.safetensors")


def write_missing() -> None:
    """Write the vectors that are not there yet."""
    VECTORS.mkdir(exist_ok=True)
    digests = json.loads(DIGESTS.read_text()) if DIGESTS.exists() else {}
    for name, blob in build().items():
        if name not in digests:
            (VECTORS / name).write_bytes(blob)
            digests[name] = digest_of(blob).hex()
    DIGESTS.write_text(json.dumps(digests, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(write_missing())
