"""Updates that are well hashed and well committed to, and meant to spoil the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from doubles import Federation
from hostile import (
    arrays_of,
    audit_of,
    goes_on,
    header_of,
    send,
    verdict_on_attacker,
)
from rich.console import Console

from chain.types import Address
from fl_node.blobs.encoding import encode_update
from fl_node.blobs.tensors import encode_tensors
from fl_node.cli.tables import print_audit, rounds_table

Arrays = dict[str, np.ndarray[Any, Any]]


@dataclass(frozen=True)
class Poison:
    """One bad update: what is wrong with its arrays or its header, and the reason that must go on record."""

    reason: str
    spoil: Callable[[Arrays], Arrays] = dict
    header: Callable[[Federation], dict[str, Any]] = lambda federation: {}
    claimed_examples: int = 20


def with_value(value: float) -> Callable[[Arrays], Arrays]:
    def spoil(arrays: Arrays) -> Arrays:
        arrays["generator.weight"][0, 0] = value
        return arrays

    return spoil


def as_dtype(dtype: str) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {name: array.astype(dtype) for name, array in arrays.items()}


def renamed(name: str) -> Callable[[Arrays], Arrays]:
    return lambda arrays: {name: arrays.pop("generator.bias"), **arrays}


def without_a_tensor(arrays: Arrays) -> Arrays:
    return {"generator.weight": arrays["generator.weight"]}


def with_one_more_tensor(arrays: Arrays) -> Arrays:
    return {**arrays, "x": np.zeros(1, np.float32)}


def transposed(arrays: Arrays) -> Arrays:
    return {**arrays, "generator.weight": arrays["generator.weight"].T.copy()}


def header(**changes: Any) -> Callable[[Federation], dict[str, Any]]:
    return lambda federation: changes


POISONS = {
    # 10. One update of NaN makes the whole model NaN; a wrong tensor name or shape ends the run.
    "nan": Poison("finite", with_value(np.nan)),
    "infinity": Poison("finite", with_value(np.inf)),
    "minus_infinity": Poison("finite", with_value(-np.inf)),
    "largest_float": Poison("norm_limit", with_value(np.finfo(np.float32).max)),
    "norm_above_the_limit": Poison("norm_limit", with_value(1001.0)),
    "other_name": Poison("tensors", renamed("generator.bios")),
    "name_that_is_markup": Poison("tensors", renamed("[/red]bold[/a]")),
    "tensor_missing": Poison("tensors", without_a_tensor),
    "tensor_too_many": Poison("blob .* are allowed", with_one_more_tensor),
    "other_shape": Poison("tensors", transposed),
    "wider_dtype": Poison("blob .* are allowed", as_dtype("float64")),
    "narrower_dtype": Poison("tensors", as_dtype("float16")),
    "integers": Poison("tensors", as_dtype("int32")),
    # 11. num-examples = 1e9 takes the model over.
    "examples_above_the_limit": Poison(
        "examples_limit", header=header(num_examples=10**9), claimed_examples=10**9
    ),
    "most_examples_the_chain_takes": Poison(
        "examples_limit", header=header(num_examples=2**64 - 1), claimed_examples=2**64 - 1
    ),
    "other_examples_than_on_chain": Poison("num_examples", header=header(num_examples=99)),
    # 15. Round and aggregate are not linked to the set of inputs.
    "other_task": Poison("task", header=header(task=2)),
    "other_round": Poison("round", header=header(round=2)),
    "other_client": Poison("client", header=header(client=Address("0x" + "00" * 19 + "11"))),
    # The codecs' random choices follow from the manifest; who could choose them would choose what survives.
    "seed_of_ones_own": Poison("seed", header=header(seed=1)),
    # FedNova divides by the steps, so that a count of 0 or a huge one would take the model over.
    "no_steps": Poison("steps_limit", header=header(steps=0)),
    "more_steps_than_allowed": Poison("steps_limit", header=header(steps=1_000_001)),
    "other_codec": Poison("codec", header=header(codec="top_k")),
    "other_parent": Poison("parent_digest", header=header(parent_digest=bytes(32))),
}


def poisoned(federation: Federation, poison: Poison) -> bytes:
    arrays = poison.spoil(arrays_of(federation))
    return encode_update(header_of(federation, **poison.header(federation)), arrays)


@pytest.mark.parametrize("name", POISONS)
def test_send(federation: Federation, undisturbed: bytes, name: str) -> None:
    """10, 11, 15. The update is left out for the right reason, and the others' result is what it would have been."""
    poison = POISONS[name]
    final = send(federation, poisoned(federation, poison), poison.claimed_examples)
    assert (final.included, final.aggregate_digest) == (0b011, undisturbed)
    assert goes_on(federation)
    report = audit_of(federation)
    assert report.verdict == "clean"
    on_attacker = verdict_on_attacker(report)
    assert not on_attacker.included
    assert_reason(on_attacker.left_out_because, poison.reason)


def assert_reason(actual: str | None, expected: str) -> None:
    pattern = expected if " " in expected else f"{expected}: "
    with pytest.raises(AssertionError, match=f"^{pattern}"):
        raise AssertionError(actual)


def test_send_a_parent_of_an_earlier_round(federation: Federation, undisturbed: bytes) -> None:
    """15. An update trained from the genesis is not taken in round 2."""
    genesis = federation.ledger.task_state(federation.task).genesis_digest
    good = encode_update(header_of(federation), arrays_of(federation))
    assert send(federation, good).included == 0b111
    stale = encode_update(header_of(federation, parent_digest=genesis), arrays_of(federation))
    assert send(federation, stale).included == 0b011
    assert_reason(verdict_on_attacker(audit_of(federation)).left_out_because, "parent_digest")


def test_send_as_many_examples_as_the_manifest_allows(federation: Federation) -> None:
    """11. Up to the manifest's cap the count is believed: nobody but the member knows its data."""
    most = federation.manifest.limits.examples
    blob = encode_update(header_of(federation, num_examples=most), arrays_of(federation))
    assert send(federation, blob, most).included == 0b111


def test_write_markup_into_the_auditors_table(federation: Federation) -> None:
    """10. What a peer writes is shown as text: it neither ends the audit's output nor colours it."""
    arrays = renamed("[/red][b]clean")(arrays_of(federation))
    send(federation, encode_update(header_of(federation), arrays))
    report = audit_of(federation)
    console = Console(width=400)
    with console.capture() as captured:
        console.print(rounds_table(report.rounds))
        print_audit(console, report)
    assert "[/red][b]clean" in captured.get()


def test_send_a_second_note(federation: Federation, undisturbed: bytes) -> None:
    """15. A header with more than it should say is no header."""
    note = '{"format":1,"round":1}'
    final = send(federation, encode_tensors(arrays_of(federation), note))
    assert (final.included, final.aggregate_digest) == (0b011, undisturbed)
