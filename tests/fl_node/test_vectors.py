"""The golden vectors: small files whose digests must never change, because they are on chains.

A deliberate change of format is a new format number and new vectors beside these. To write the files of a new
vector, run this file with `python tests/fl_node/test_vectors.py`; it never changes one that exists.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from receipts import CLEO, played

from chain import answers
from chain.headers import header_from
from chain.proofs import HeadProof
from chain.types import Address
from fl_node.arrays import Array, Arrays
from fl_node.blobs.digest import digest_of
from fl_node.blobs.encoding import (
    Update,
    UpdateHeader,
    decode_update,
    difference_schema,
    encode_update,
    encoding_seed,
)
from fl_node.blobs.global_state import first_state
from fl_node.blobs.model import decode_model, encode_model
from fl_node.blobs.sealed import seal, unseal
from fl_node.blobs.tensors import schema_of
from fl_node.bundle.proof import proof_to_json
from fl_node.fields import Choice
from fl_node.manifest.manifest import build_manifest, parse_manifest
from fl_node.receipt.checking import make_receipt
from fl_node.receipt.file import receipt_to_json
from fl_node.round.validity import norm
from fl_node.strategy.combine import COMBINE
from fl_node.strategy.combine.derived import derive_averages
from fl_node.strategy.combine.krum import squared_distances
from fl_node.strategy.encode import STAGES, decode_arrays, encode_arrays
from fl_node.strategy.roles import Average, Roles
from fl_node.witness.cosigning import cosign
from fl_node.witness.keys import witness_key
from fl_node.witness.note import Checkpoint, Note, notes_to_bytes

VECTORS = Path(__file__).parents[1] / "vectors"
DIGESTS = VECTORS / "digests.json"
CLIENTS = tuple(Address(f"0x{number:040x}") for number in (1, 2, 3, 4, 5))
PARENT = {
    "generator.weight": np.array([[0.5, -1.25, 3.0], [1e-8, 1e8, -0.0]], np.float32),
    "generator.bias": np.array([1 / 3, 2 / 3], np.float64),
}
SALT = bytes([4]) * 32
STEP = {
    "generator.weight": np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], np.float32),
    "generator.bias": np.array([0.7, 0.8], np.float32),
}


def update(number: int, parent: bytes) -> Update:
    client = CLIENTS[number]
    seed = encoding_seed(1, 1, client)
    header = UpdateHeader(1, 1, client, parent, 3 + number, 5 + number, "float32", seed)
    factor = np.float32((1, -3, 2, 0.5, -0.25)[number])
    shift = np.float32((0.01, 0.4, -0.2, 0.03, 0.3)[number])
    return Update(header, {name: array * factor + shift for name, array in STEP.items()})


VARIANCE = {"generator.running_var": np.array([1.0, 0.25], np.float32)}
AVERAGES = {
    "generator_ema.weight": np.array([[0.0, 1.0, -1.0], [1.0, -1e8, 0.5]], np.float32),
    "generator_ema.bias": np.array([1.0, -1.0]),
}
ROLES = Roles(
    statistics=("*.running_var",),
    averages=(Average(name="generator_ema", of="generator", half_life=20),),
)


def five_updates() -> list[Update]:
    return [update(number, digest_of(encode_model(PARENT))) for number in range(5)]


def combined(kind: type[Choice]) -> bytes:
    """The second round of a rule, so that what it keeps has an effect; with a statistic beside the weights."""
    rule = COMBINE[kind]
    state = first_state({**PARENT, **VARIANCE}, rule.slots, PARENT)
    shares = [{"generator.running_var": one.arrays["generator.bias"] / 4} for one in five_updates()]
    updates = [
        replace(one, arrays={**one.arrays, **share})
        for one, share in zip(five_updates(), shares, strict=True)
    ]
    for _ in range(2):
        state = rule.combine(kind(), state, updates, VARIANCE)  # type: ignore[call-arg]
    return encode_model(state)


def averaged() -> bytes:
    """What becomes of averages whose model is PARENT after the round of the five updates."""
    steps = [one.header.steps for one in five_updates()]
    return encode_model(derive_averages(ROLES, AVERAGES, PARENT, steps))


def stating() -> bytes:
    """The first update, with metrics and versions in its header."""
    first = update(0, digest_of(encode_model(PARENT)))
    metrics = {"accuracy": Decimal("0.913"), "auc": None, "kid": Decimal("-12")}
    versions = {"scikit-learn": "1.9.dev0", "torch": '2.15.0+"cu"\\128'}
    return encode_update(replace(first.header, metrics=metrics, versions=versions), first.arrays)


def through(kind: type[Choice]) -> Arrays:
    """A tensor large enough for every codec, encoded by it."""
    values = {"w": np.linspace(-1, 1, 24, dtype=np.float32).reshape(6, 4)}
    return encode_arrays([kind()], values, seed=7)  # type: ignore[call-arg]


def cosigned() -> bytes:
    """What a witness signs after the first two events of the worked example in docs/protocol.md."""
    contract = Address("0x00000000000000000000000000000000000000C0")
    head = bytes.fromhex("b3615f92d43628449333e30ecdcaf0a7ee3a108d4a1dbe08c8524ebd9a83cdc5")
    point = Checkpoint(1337, contract, 1, 2, head)
    key = witness_key("alice.example/witness", bytes(range(32)))
    return notes_to_bytes([Note(point, (cosign(point, key, 1_700_000_000),))])


def receipt() -> bytes:
    """The receipt of an update that was left out, in the task of two rounds that the tests of receipts play."""
    task = played()
    return receipt_to_json(make_receipt(task.state, task.entries, 1, CLEO))


def proven() -> bytes:
    """What a bundle carries of anvil's answers about a block that holds the head of task 2."""
    said = json.loads((VECTORS / "endpoint_proofs.json").read_text("utf-8"))["anvil"]
    given = answers.account_proof(said["proof"])
    return proof_to_json(HeadProof(header_from(said["block"]), given.account, given.storage))


def build() -> dict[str, bytes]:
    """Every vector, made from nothing but literals and the functions under test."""
    manifest = build_manifest(
        {"name": "vector", "seed": 1, "members": list(CLIENTS[:2]), "rounds": {"count": 2}}
    )
    model = encode_model(PARENT)
    first = update(0, digest_of(model))
    return {
        "manifest.json": manifest.to_bytes(),
        "model.safetensors": model,
        "update.safetensors": encode_update(first.header, first.arrays),
        "update_stating.safetensors": stating(),
        "update.sealed": seal(encode_update(first.header, first.arrays), SALT),
        "averages.safetensors": averaged(),
        "cosigned.txt": cosigned(),
        "proof.json": proven(),
        "receipt.json": receipt(),
        **{f"combine_{kind.name()}.safetensors": combined(kind) for kind in COMBINE},
        **{f"encode_{kind.name()}.safetensors": encode_model(through(kind)) for kind in STAGES},
    }


def read(name: str) -> bytes:
    return (VECTORS / name).read_bytes()


@pytest.mark.parametrize("name", sorted(build().keys() - {"encode_low_rank.safetensors"}))
def test_the_bytes_are_the_golden_ones(name):
    """Low rank is fitted by the machine's own linear algebra: only decoding it is the same everywhere."""
    assert build()[name] == read(name)


@pytest.mark.parametrize("name", sorted(build()))
def test_the_golden_files_have_their_digests(name):
    assert digest_of(read(name)).hex() == json.loads(DIGESTS.read_text())[name]


def test_the_golden_files_can_be_read():
    parse_manifest(read("manifest.json"))
    assert decode_model(read("model.safetensors")).keys() == PARENT.keys()
    assert decode_update(read("update.safetensors")).header.client == CLIENTS[0]
    assert unseal(read("update.sealed"), SALT) == read("update.safetensors")


@pytest.mark.parametrize("kind", STAGES, ids=lambda kind: kind.name())
def test_what_a_codec_wrote_decodes_to_the_golden_bytes(kind: type[Choice]):
    schema = difference_schema(schema_of({"w": np.zeros((6, 4), np.float32)}))
    stored = decode_model(read(f"encode_{kind.name()}.safetensors"))
    decoded = decode_arrays([kind()], stored, schema, seed=7)
    recorded = json.loads(DIGESTS.read_text())[f"decoded by {kind.name()}"]
    assert digest_of(encode_model(decoded)).hex() == recorded


LANES = json.loads(read("lanes.json"))
"""Arrays of one large number, and small ones of which those in its running sum are lost, and the others counted."""


def array_of(vector: dict[str, Any]) -> Array:
    array = np.zeros(vector["size"], np.float32)
    for index, value in vector["elements"].items():
        array[int(index)] = value
    return array


def test_the_norm_has_its_number_of_running_sums():
    vector = LANES["norm"]
    assert float(norm({"w": array_of(vector)})).hex() == vector["value"]


def test_krums_distances_have_their_number_of_running_sums():
    vector = LANES["squared distance"]
    array = array_of(vector)
    header = update(0, bytes(32)).header
    pair = [Update(header, {"w": values}) for values in (np.zeros_like(array), array)]
    assert float(squared_distances(["w"], pair)[0, 1]).hex() == vector["value"]


@pytest.mark.parametrize("name", LANES)
@pytest.mark.parametrize("factor", [1 / 2, 1, 2])
def test_another_number_of_running_sums_gives_another_number(name: str, factor: float):
    """By the definition, element by element: only the number that the protocol gives leads to the vector."""
    vector = LANES[name]
    sums = [0.0] * int(vector["lanes"] * factor)
    for index, value in vector["elements"].items():
        sums[int(index) % len(sums)] += value * value
    total = math.fsum(sums)
    result = math.sqrt(total) if name == "norm" else total
    assert (result.hex() == vector["value"]) == (factor == 1)


def write_missing() -> None:
    """Write the vectors that are not there yet."""
    VECTORS.mkdir(exist_ok=True)
    digests = json.loads(DIGESTS.read_text()) if DIGESTS.exists() else {}
    for name, blob in build().items():
        if name not in digests:
            (VECTORS / name).write_bytes(blob)
            digests[name] = digest_of(blob).hex()
    schema = difference_schema(schema_of({"w": np.zeros((6, 4), np.float32)}))
    for kind in STAGES:
        decoded = decode_arrays([kind()], through(kind), schema, seed=7)
        digests.setdefault(f"decoded by {kind.name()}", digest_of(encode_model(decoded)).hex())
    DIGESTS.write_text(json.dumps(digests, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(write_missing())
