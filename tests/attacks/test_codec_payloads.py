"""10, 13. What a codec unpacks is somebody else's: truncated, inflated, out of range, or made for another seed."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from doubles import Federation, small_manifest
from hostile import (
    arrays_of,
    attackers_absence,
    audit_of,
    goes_on,
    header_of,
    send,
    verdict_on_attacker,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fl_node.blobs.encoding import UpdateHeader, decode_update, encode_update
from fl_node.blobs.tensors import Spec
from fl_node.errors import BadData
from fl_node.manifest.manifest import Manifest
from fl_node.round.form import Form
from fl_node.round.validity import verify_update
from fl_node.strategy.encode import decode_arrays, encode_arrays, encoded_schema

Encoded = dict[str, np.ndarray[Any, Any]]

CHAINS: dict[str, list[Any]] = {
    "sparse": [{"kind": "top_k", "fraction": "0.5"}, {"kind": "quantise", "bits": 8}],
    "masked": [{"kind": "subsample", "one_in": 2}, "rotate", {"kind": "quantise", "bits": 4}],
    "low_rank": [{"kind": "low_rank", "rank": 1}, {"kind": "quantise", "bits": 8}],
}
WEIGHT = "generator.weight"


def manifest_of(chain: str) -> Manifest:
    return small_manifest(strategy={"encode": CHAINS[chain]})


def honest(federation: Federation, **changes: Any) -> tuple[UpdateHeader, Encoded]:
    """What the attacker would send if it kept to the rules."""
    header = header_of(federation, **changes)
    arrays = arrays_of(federation)
    return header, encode_arrays(federation.manifest.strategy.encode.stages, arrays, header.seed)


def with_indices(byte: int) -> Callable[[Encoded], Encoded]:
    def spoil(encoded: Encoded) -> Encoded:
        (name,) = (name for name in encoded if name.startswith(f"{WEIGHT}/top_k"))
        return encoded | {name: np.full_like(encoded[name], byte)}

    return spoil


too_many_indices, too_few_indices = with_indices(255), with_indices(0)
too_many_indices.__name__, too_few_indices.__name__ = "too_many_indices", "too_few_indices"


def inflated(encoded: Encoded) -> Encoded:
    return encoded | {WEIGHT: np.zeros(1 << 16, encoded[WEIGHT].dtype)}


def truncated(encoded: Encoded) -> Encoded:
    return encoded | {WEIGHT: encoded[WEIGHT].reshape(-1)[:1]}


def in_another_shape(encoded: Encoded) -> Encoded:
    return encoded | {WEIGHT: encoded[WEIGHT].reshape(1, -1)}


def without_a_part(encoded: Encoded) -> Encoded:
    return {name: array for name, array in encoded.items() if "quantise" not in name}


def with_scales_of_nan(encoded: Encoded) -> Encoded:
    return {
        name: np.full_like(array, np.nan) if array.dtype == np.float32 else array
        for name, array in encoded.items()
    }


def with_scales_that_overflow(encoded: Encoded) -> Encoded:
    largest = np.finfo(np.float32).max
    return {
        name: np.full_like(array, largest) if array.dtype == np.float32 else array
        for name, array in encoded.items()
    }


SPOILT: list[tuple[str, Callable[[Encoded], Encoded]]] = [
    ("sparse", too_many_indices),
    ("sparse", too_few_indices),
    *[
        (chain, spoil)
        for chain in CHAINS
        for spoil in (
            inflated,
            truncated,
            in_another_shape,
            without_a_part,
            with_scales_of_nan,
            with_scales_that_overflow,
        )
    ],
]


def named(value: object) -> str:
    return value if isinstance(value, str) else value.__name__  # type: ignore[attr-defined]


@pytest.mark.parametrize(("chain", "spoil"), SPOILT, ids=named)
def test_send_a_payload_that_no_encoder_writes(
    federate: Callable[..., Federation], chain: str, spoil: Callable[[Encoded], Encoded]
) -> None:
    """It is left out, the others' result is what it would have been, and the audit comes to the same."""
    undisturbed = attackers_absence(federate(manifest_of(chain), "undisturbed"))
    federation = federate(manifest_of(chain))
    header, encoded = honest(federation)
    final = send(federation, encode_update(header, spoil(encoded)))
    assert (final.included, final.aggregate_digest) == (0b011, undisturbed)
    assert goes_on(federation)
    report = audit_of(federation)
    assert report.verdict == "clean"
    assert not verdict_on_attacker(report).included


@pytest.mark.parametrize("chain", CHAINS)
def test_choose_the_seed_oneself(federate: Callable[..., Federation], chain: str) -> None:
    """A seed that suits the sender better than the one that follows from the manifest is not taken."""
    federation = federate(manifest_of(chain))
    header, encoded = honest(federation, seed=12)
    assert send(federation, encode_update(header, encoded)).included == 0b011
    because = verdict_on_attacker(audit_of(federation)).left_out_because
    assert str(because).startswith("seed: ")


@pytest.mark.parametrize("chain", CHAINS)
def test_an_honest_payload_counts(federate: Callable[..., Federation], chain: str) -> None:
    federation = federate(manifest_of(chain))
    assert send(federation, encode_update(*honest(federation))).included == 0b111


FLOAT32 = np.dtype(np.float32)
FORM = Form(coded={WEIGHT: Spec((5, 7), FLOAT32)}, plain={"running_var": Spec((3,), FLOAT32)})
SCHEMA = {**FORM.coded, **FORM.plain}


@pytest.mark.parametrize("chain", CHAINS)
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@pytest.mark.slow
def test_any_changed_bytes_are_bad_data_or_an_update_of_the_schema(chain: str, data: Any) -> None:
    """The whole way that an update takes, on bytes that were flipped, cut or drawn out anywhere."""
    manifest = manifest_of(chain)
    encode, random = manifest.strategy.encode, np.random.default_rng(1)
    arrays = {n: random.standard_normal(s.shape).astype(np.float32) for n, s in SCHEMA.items()}
    header = UpdateHeader(1, 1, manifest.addresses[0], bytes(32), 9, 3, encode.label, 77)
    statistic = arrays.pop("running_var")
    coded = encode_arrays(encode.stages, arrays, 77)
    blob = bytearray(encode_update(header, coded | {"running_var": statistic}))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(blob) - 1))
        change = data.draw(st.sampled_from(["flip", "cut", "insert", "float"]))
        if change == "flip":
            blob[at] ^= data.draw(st.integers(1, 255))
        elif change == "cut":
            del blob[at : at + data.draw(st.integers(1, 64))]
            blob += b"\0" * (not blob)
        elif change == "insert":
            blob[at:at] = data.draw(st.binary(min_size=1, max_size=64))
        else:
            value = data.draw(st.sampled_from([np.nan, np.inf, -np.inf, 3e38]))
            blob[at : at + 4] = struct.pack("<f", value)
    try:
        update = verify_update(decode_update(bytes(blob)), header, encode, FORM, manifest.limits)
    except BadData:
        return
    assert {name: Spec(a.shape, a.dtype) for name, a in update.arrays.items()} == SCHEMA
    assert all(np.isfinite(array).all() for array in update.arrays.values())


def test_a_reader_knows_the_size_before_it_reads() -> None:
    """A bomb has no room: the encoded schema follows from the manifest alone."""
    stages = manifest_of("sparse").strategy.encode.stages
    large = {"w": Spec((1000, 1000), np.dtype(np.float32))}
    encoded = encoded_schema(stages, large)
    assert sum(int(np.prod(spec.shape)) * spec.dtype.itemsize for spec in encoded.values()) < 4e6
    values = {"w": np.ones((1000, 1000), np.float32)}
    travelling = encode_arrays(stages, values, 3)
    assert {name: Spec(a.shape, a.dtype) for name, a in travelling.items()} == encoded
    assert decode_arrays(stages, travelling, large, 3)["w"].shape == (1000, 1000)
