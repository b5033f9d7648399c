"""A member that lies about what it measured and ran: its update is left out, and the round goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from doubles import MEMBERS, STATING, Federation, StatingLearner, small_manifest
from hostile import (
    attackers_absence,
    audit_of,
    goes_on,
    header_of,
    send,
    verdict_on_attacker,
)

from fl_node.arrays import Arrays
from fl_node.blobs.encoding import LONGEST_VERSION, encode_update
from fl_node.blobs.metrics import LONGEST
from fl_node.blobs.tensors import encode_tensors

METRICS = {"accuracy": Decimal("0.5"), "auc": None, "kid": Decimal(-3)}
VERSIONS = {"scikit-learn": "1.9", "torch": "2.15.0"}


def stating(federate: Callable[..., Federation], name: str) -> Federation:
    federation = federate(small_manifest(learner=STATING), name)
    for index, member in enumerate(MEMBERS):
        federation.learners[member] = StatingLearner(1 + index, held_out={"accuracy": 0.25})
    return federation


@pytest.fixture
def task(federate: Callable[..., Federation]) -> Federation:
    """A task whose updates state metrics and versions."""
    return stating(federate, "attacked")


@pytest.fixture
def without_attacker(federate: Callable[..., Federation]) -> bytes:
    """The model after a round in which the attacker stays away."""
    return attackers_absence(stating(federate, "quiet"))


def tensors() -> Arrays:
    return {
        "generator.bias": np.full(3, 0.5, np.float32),
        "generator.weight": np.full((2, 3), 0.25, np.float32),
    }


def blob_saying(task: Federation, **changes: Any) -> bytes:
    """An update whose header is right save for these keys, however they are spelled."""
    honest = encode_update(header_of(task, metrics=METRICS, versions=VERSIONS), tensors())
    length = 8 + int.from_bytes(honest[:8], "little")
    note = json.loads(json.loads(honest[8:length])["__metadata__"]["ganchor"])
    said = json.dumps(note | changes, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return encode_tensors(tensors(), said)


def metric(value: object) -> dict[str, object]:
    return {"metrics": {"accuracy": value, "auc": None, "kid": "-3"}}


def version(value: object) -> dict[str, object]:
    return {"versions": {"scikit-learn": "1.9", "torch": value}}


SPELLINGS = {
    "a thousand million": metric("1000000000"),
    "an exponent": metric("1e5"),
    "minus zero": metric("-0"),
    "the text NaN": metric("NaN"),
    "the text Infinity": metric("Infinity"),
    "a number that is no text": metric(1),
    "more digits than a float has": metric("0." + "1" * 40),
    "a metric nested in another": metric({"accuracy": "1"}),
    "another name in a metric's place": {"metrics": {"\x1b[2J": "1"}},
    "a version that clears the screen": version("2.15\x1b[2J"),
    "a version of two lines": version("2.15\nclean"),
    "a version that turns the text around": version("2\u202e51.2"),
    "a version without an end": version("2" * 65),
    "a version that is a list": version(["2"]),
}

NAMES = {
    "no metrics": {"metrics": {}},
    "a metric kept back": {"metrics": {"accuracy": METRICS["accuracy"]}},
    "a metric of its own": {"metrics": {**METRICS, "profit": Decimal(1)}},
    "another version": {"versions": {"scikit-learn": "1.9", "tensorflow": "2"}},
    "no versions": {"versions": {}},
}


def refused(task: Federation, blob: bytes, undisturbed: bytes) -> str:
    """Why the attacker's update was left out, after a round that went on as if it had not been sent."""
    final = send(task, blob)
    assert (final.included, final.aggregate_digest) == (0b011, undisturbed)
    assert goes_on(task)
    report = audit_of(task)
    assert report.verdict == "clean"
    (last,) = report.rounds
    assert last.metrics == {"accuracy": "0.25", "auc": None, "kid": None}
    verdict = verdict_on_attacker(report)
    assert verdict.metrics is None
    return str(verdict.left_out_because)


@pytest.mark.parametrize("said", SPELLINGS.values(), ids=SPELLINGS)
def test_what_is_no_exact_decimal_or_version_is_malformed(task, without_attacker, said):
    reason = refused(task, blob_saying(task, **said), without_attacker)
    assert "metadata" in reason
    assert reason.isprintable()


@pytest.mark.parametrize("said", NAMES.values(), ids=NAMES)
def test_the_names_are_the_manifests(task, without_attacker, said):
    header = replace(header_of(task, metrics=METRICS, versions=VERSIONS), **said)
    reason = refused(task, encode_update(header, tensors()), without_attacker)
    assert reason.startswith(f"{next(iter(said))}: expected ")


def test_four_megabytes_of_metrics_are_not_read(task, without_attacker):
    many = {f"m{number}": None for number in range(200_000)}
    reason = refused(task, blob_saying(task, metrics=many), without_attacker)
    assert "bytes" in reason


def test_a_lie_within_the_rules_is_on_record_and_moves_nothing_but_the_mean(task, federate):
    """The most that a false claim can do: numbers of the largest size, versions of the longest."""
    longest = header_of(
        task,
        metrics=dict.fromkeys(METRICS, LONGEST),
        versions=dict.fromkeys(VERSIONS, LONGEST_VERSION),
    )
    modest = stating(federate, "modest")
    plain = header_of(modest, metrics=METRICS, versions=VERSIONS)
    finals = [
        send(task, encode_update(longest, tensors())),
        send(modest, encode_update(plain, tensors())),
    ]
    assert {final.included for final in finals} == {0b111}
    assert len({final.aggregate_digest for final in finals}) == 1
    report = audit_of(task)
    assert report.verdict == "clean"
    assert report.rounds[0].metrics == {
        "accuracy": "-399999999.85",
        "auc": "-999999999.999999999",
        "kid": "-999999999.999999999",
    }
