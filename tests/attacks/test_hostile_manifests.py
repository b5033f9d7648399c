"""A manifest that anybody may open a task with: whatever it is, the audit says so at once and goes on to its end."""

from __future__ import annotations

import re

import pytest
from doubles import MEMBERS, small_genesis, small_manifest

from chain.memory_ledger import MemoryLedger
from fl_node.audit import Status, audit
from fl_node.blobs.model import encode_model
from fl_node.blobs.store import open_store

MANIFEST = small_manifest().to_bytes().decode()


def with_field(name: str, value: str) -> bytes:
    """The genuine manifest with other text behind a field's name."""
    changed = re.sub(rf'"{name}":[^,}}]*', lambda _: f'"{name}":{value}', MANIFEST, count=1)
    assert changed != MANIFEST
    return changed.encode()


MANIFESTS = {
    "an integer with an exponent": with_field("seed", "1e999999999"),
    "a negative exponent": with_field("seed", "1e-999999999"),
    "one that a float cannot hold": with_field("seed", "1e5000"),
    "an exponent in a decimal's text": with_field("update_norm", '"1e999999999"'),
    "an exponent in a schedule": with_field("generator_rate", '[[1,"1e999999999"]]'),
    "a schedule of 100,000 rounds": with_field(
        "generator_rate", "[" + '[1,"1"],' * 100_000 + "[]]"
    ),
    "a million digits": with_field("seed", "9" * 1_000_000),
    "no number": with_field("seed", "NaN"),
    "a key twice": with_field("seed", '5,"seed":5'),
    "half of a surrogate pair": with_field("name", '"\\ud800"'),
    "deep lists": with_field("name", "[" * 1_000_000),
    "wide lists": with_field("name", "[" + "[]," * 300_000 + "[]]"),
    "half a million members": with_field("name", '"x","members":[' + "1," * 500_000 + "1]"),
    "control characters": with_field("name", '"x","\\u001b[2Jclean":1'),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("blob", MANIFESTS.values(), ids=MANIFESTS)
def test_open_a_task_with_a_hostile_manifest(tmp_path, blob):
    """16. One finding of A4, in one short line; the time limit is what a hostile one would break."""
    store, ledger = open_store(tmp_path / "store"), MemoryLedger()
    digests = store.put(blob), store.put(encode_model(small_genesis()))
    ledger.acting_as(MEMBERS[0]).open_task(*digests, MEMBERS, small_manifest().terms())
    report = audit(lambda: ledger, store, task=1)
    assert [finding.step for finding in report.findings] == ["A4"]
    said = str(report.findings[0])
    assert "not a manifest" in said
    assert len(said) < 1000
    assert "\x1b" not in said
    assert report.statuses["A4"] == Status.FINDINGS
