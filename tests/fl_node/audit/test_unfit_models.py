"""Models that no round can start from: the audit says so, in a finding, and carries on with what it can check."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from doubles import MEMBERS, Federation, small_genesis, small_manifest

from fl_node.arrays import Array, Arrays
from fl_node.audit import AuditReport, Status, audit
from fl_node.blobs.global_state import first_state
from fl_node.blobs.model import encode_model
from fl_node.blobs.store import open_store
from fl_node.errors import BlobMalformed
from fl_node.manifest.manifest import Manifest
from fl_node.member.opening import open_task

MOMENTUM = small_manifest(strategy={"combine": "momentum"})
SCAFFOLD = small_manifest(strategy={"train": "scaffold"})
AVERAGED = small_manifest()
CODED = small_manifest(strategy={"encode": "quantise"})
HALF = np.dtype(np.float16)


def good(manifest: Manifest, model: Arrays | None = None) -> dict[str, Array]:
    model = model or small_genesis()
    weights = manifest.roles.only("weight", model)
    return first_state(model, manifest.strategy.slots, weights)


def without(name: str, state: Arrays) -> dict[str, Array]:
    return {other: array for other, array in state.items() if other != name}


EMA = {"generator_ema.bias": np.zeros(3, np.float32)}
SLOT = "server.momentum.generator.bias"

UNFIT: dict[str, tuple[Manifest, Arrays, str]] = {
    "a slot is missing": (MOMENTUM, without(SLOT, good(MOMENTUM)), SLOT),
    "all slots are missing": (MOMENTUM, small_genesis(), "server.momentum"),
    "a variate is missing": (
        SCAFFOLD,
        without("server.control.generator.weight", good(SCAFFOLD)),
        "server.control.generator.weight",
    ),
    "a slot in another dtype": (MOMENTUM, good(MOMENTUM) | {SLOT: np.zeros(3, HALF)}, SLOT),
    "a slot in integers": (MOMENTUM, good(MOMENTUM) | {SLOT: np.zeros(3, np.int64)}, SLOT),
    "a slot in another shape": (
        MOMENTUM,
        good(MOMENTUM) | {SLOT: np.zeros((3, 1), np.float32)},
        SLOT,
    ),
    "a slot that the strategy does not keep": (
        AVERAGED,
        good(AVERAGED) | {SLOT: np.zeros(3, np.float32)},
        SLOT,
    ),
    "a slot for a weight that is none": (
        MOMENTUM,
        good(MOMENTUM) | {"server.momentum.other": np.zeros(3, np.float32)},
        "server.momentum.other",
    ),
    "an average of integers": (
        AVERAGED,
        small_genesis() | {"generator_ema.bias": np.zeros(3, np.int64)},
        "one of them holds integers",
    ),
    "an average whose model holds integers": (
        AVERAGED,
        small_genesis() | EMA | {"generator.bias": np.zeros(3, np.int32)},
        "one of them holds integers",
    ),
    "an average of nothing": (
        AVERAGED,
        without("generator.bias", small_genesis() | EMA),
        "which is not shared",
    ),
    "constants alone": (AVERAGED, {"n": np.zeros(3, np.int64)}, "no weight is shared"),
    "nothing but statistics of the server": (
        AVERAGED,
        {"server.n": np.zeros(3, np.float32)},
        "no weight is shared",
    ),
    "a tensor with the name of another's part": (
        CODED,
        small_genesis() | {"generator.bias/quantise.low": np.zeros(1, np.float32)},
        "rename the tensor",
    ),
    "a tensor with the prefix of what is sent beside it": (
        SCAFFOLD,
        good(SCAFFOLD) | {"control.generator.bias": np.zeros(3, np.float32)},
        "rename it",
    ),
    "what is published has a name and no shape": (
        AVERAGED,
        small_genesis() | {"server.published.d": np.array([-1])},
        "server.published.d",
    ),
}


def audit_of(federation: Federation) -> AuditReport:
    return audit(lambda: federation.ledger, federation.store, federation.task)


@pytest.fixture
def opened(federate: Callable[..., Federation]) -> Callable[[Manifest, Arrays], Federation]:
    """Open a task from any genesis, as a careless or hostile coordinator can."""

    def build(manifest: Manifest, genesis: Arrays) -> Federation:
        federation = federate(manifest)
        store = open_store(federation.folder / "store")
        federation.task = open_task(federation.ledger, store, manifest, genesis).task
        return federation

    return build


@pytest.mark.parametrize(("manifest", "genesis", "why"), UNFIT.values(), ids=UNFIT)
def test_a4_finds_a_genesis_that_no_round_can_start_from(opened, manifest, genesis, why):
    federation = opened(manifest, genesis)
    for member in MEMBERS:
        federation.ledger.acting_as(member).skip(federation.task, 1)
    report = audit_of(federation)
    (finding,) = report.findings
    assert finding.step == "A4"
    assert finding.message.startswith("no round can start from the genesis: ")
    assert why in finding.message
    assert [step for step in ("A5", "A6", "A7") if report.statuses[step] is Status.CLEAN] == []


@pytest.mark.parametrize(("manifest", "genesis", "why"), UNFIT.values(), ids=UNFIT)
def test_a_node_waits_with_a_reason_instead_of_failing(opened, manifest, genesis, why):
    """It would not have joined; if it is there all the same, its parent is bad data like any other."""
    node = opened(manifest, genesis).start(MEMBERS[0])
    with pytest.raises(BlobMalformed, match="no round can start from the model"):
        node.step()


def test_integers_in_both_an_average_and_its_model_are_constants(opened):
    counts = {"generator.n": np.array(3), "generator_ema.n": np.array(3)}
    federation = opened(AVERAGED, small_genesis() | EMA | counts)
    assert audit_of(federation).verdict == "clean"


class TestLaterModels:
    def forged(self, federation: Federation, model: Any) -> AuditReport:
        """A quorum makes a model of its own final in the first round, and the second round builds on it."""
        nodes = [federation.start(member) for member in MEMBERS]
        ledger, task = federation.ledger, federation.task
        for _ in range(2):
            for node in nodes:
                node.step()
        digest = federation.store.put(encode_model(model))
        for member in MEMBERS[:2]:
            ledger.acting_as(member).attest(task, 1, digest, 0b111)
        for member in MEMBERS:
            ledger.acting_as(member).skip(task, 2)
        return audit_of(federation)

    @pytest.mark.parametrize(
        "model",
        [
            without(SLOT, good(MOMENTUM)),
            good(MOMENTUM) | {"generator.bias": np.zeros(4, np.float32)},
            good(MOMENTUM) | {"generator.bias": np.zeros(3, np.int64)},
            good(MOMENTUM) | {"more": np.zeros(3, np.float32)},
        ],
        ids=["without a slot", "another shape", "another dtype", "one more"],
    )
    def test_a7_finds_one_with_other_tensors_and_what_follows_is_not_reached(
        self, federate: Callable[..., Federation], model: Arrays
    ) -> None:
        report = self.forged(federate(MOMENTUM), model)
        assert [finding.step for finding in report.findings] == ["A7", "A7"]
        assert {finding.round for finding in report.findings} == {1}
        assert "other tensors" in report.findings[1].message
        unfit = "round 2: the model that it starts from is missing or unfit"
        assert report.reasons["A7"] == (unfit,)

    def test_a7_goes_on_from_a_forged_one_that_rounds_can_start_from(
        self, federate: Callable[..., Federation]
    ) -> None:
        report = self.forged(federate(MOMENTUM), good(MOMENTUM))
        assert [finding.step for finding in report.findings] == ["A7"]
        assert report.statuses["A6"] is Status.CLEAN
