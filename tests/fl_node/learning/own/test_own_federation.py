"""Every algorithm that a manifest offers works for a user's own model: a regression and a GAN, three members each."""

from __future__ import annotations

from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from doubles import small_manifest

from fl_node.blobs.global_state import model_of
from fl_node.blobs.model import decode_model
from fl_node.child.setup import Setup
from fl_node.learning.own import build_genesis, open_learner
from fl_node.manifest.manifest import Manifest
from fl_node.member.simulation import SimulatedRound, simulate
from fl_node.round.genesis import genesis_state

MEMBERS = tuple(f"0x{number:040x}" for number in (1, 2, 3))
PRICES: dict[str, Any] = {"entry": "own_models:Prices", "batch": 16, "metrics": ["error"]}
RING: dict[str, Any] = {
    "entry": "own_models:Ring",
    "batch": 16,
    "metrics": ["radius"],
    "falling_loss": "held_out",
    "roles": {
        "averages": [{"name": "generator_ema", "of": "generator", "half_life": 14, "unit": "steps"}]
    },
}
ALGORITHMS: dict[str, Any] = {
    "fedavg": {},
    "fedprox": {"train": {"kind": "proximal", "mu": "0.1"}},
    "adaptive fedprox": {"train": {"kind": "adaptive_proximal", "loss": "held_out"}},
    "scaffold": {"train": "scaffold"},
    "ditto": {"train": "ditto"},
    "loadaboost": {"work": {"steps": 8, "until": "median_loss", "loss": "held_out"}},
    "fednova": {"combine": "fednova"},
    "fedadam": {"combine": {"kind": "adam", "rate": "0.01"}},
    "fedavgm": {"combine": {"kind": "momentum"}},
    "median": {"combine": "median"},
    "trimmed mean": {"combine": {"kind": "trimmed_mean", "share": "0.4"}},
    "krum": {"combine": {"kind": "krum", "byzantine": 0}},
    "quantised": {"encode": ["quantise"]},
    "top k": {"encode": ["top_k"]},
    "rotated, sub-sampled": {"encode": ["subsample", "rotate", "quantise"]},
    "low rank": {"encode": ["low_rank"]},
}


def manifest_of(learner: dict[str, Any], strategy: dict[str, Any], rounds: int = 2) -> Manifest:
    """A task of three members; the digests name nothing, because nobody looks them up here."""
    return small_manifest(
        MEMBERS,
        learner={"kind": "module", "code": "0" * 64, "genesis": "0" * 64, **learner},
        strategy={"work": {"steps": 8}, **strategy},
        rounds={"count": rounds, "min_updates": 3, "cohort_floor": 3},
    )


def setup_of(manifest: Manifest, member: int = 0, **changes: Any) -> Setup:
    learner: Any = manifest.learner
    given = {
        "kind": "module",
        "entry": learner.entry,
        "knobs": learner.knobs,
        "seed": manifest.seed,
        "share": manifest.strategy.share.average,
        "batch": learner.batch,
        "metrics": learner.metrics,
        "data": f"{member}:{member}",
    }
    return Setup(**given | changes)


def run(
    learner: dict[str, Any],
    strategy: dict[str, Any],
    rounds: int = 2,
    executor: Executor | None = None,
) -> Any:
    manifest = manifest_of(learner, strategy, rounds)
    genesis = build_genesis(setup_of(manifest))
    learners = {
        member: open_learner(setup_of(manifest, index + 1), genesis)
        for index, member in enumerate(manifest.addresses)
    }
    start = genesis_state(manifest, genesis)
    done = list(simulate(manifest, learners, start, executor=executor))
    return manifest, genesis, learners, done


def losses(done: list[SimulatedRound]) -> list[float]:
    """The members' mean held-out loss in each round."""
    return [float(np.mean([reveal.reveal.held_out_loss for reveal in one.reveals])) for one in done]


@pytest.mark.parametrize("strategy", ALGORITHMS.values(), ids=ALGORITHMS)
@pytest.mark.parametrize("learner", [PRICES, RING], ids=["regression", "gan"])
def test_an_algorithm_trains_it(learner: dict[str, Any], strategy: dict[str, Any]) -> None:
    _, genesis, _, done = run(learner, strategy)
    for one in done:
        assert len(one.reveals) == 3
        assert one.aggregated.included == 0b111
    model = model_of(decode_model(done[-1].aggregated.blob))
    assert model.keys() == genesis.keys()
    assert any((model[name] != genesis[name]).any() for name in genesis)


@pytest.mark.parametrize("optimiser", ["sgd", "adam", "adamw", "rmsprop"])
def test_any_optimiser_does_and_terms_reach_it(optimiser: str) -> None:
    rates = {"sgd": "0.05", "adam": "0.05", "adamw": "0.05", "rmsprop": "0.01"}
    learner = {**PRICES, "knobs": {"optimiser": optimiser, "rate": rates[optimiser]}}
    finals = []
    for train in ("plain", {"kind": "proximal", "mu": "1"}, "scaffold"):
        *_, done = run(learner, {"train": train, "work": {"steps": 20}}, rounds=3)
        falling = losses(done)
        assert falling[-1] < 0.7 * falling[0]
        finals.append(done[-1].aggregated.digest)
    assert len(set(finals)) == 3


def test_fedper_averages_the_body_alone_and_every_member_keeps_its_head() -> None:
    strategy = {"share": ["base.*"], "work": {"steps": 40}}
    *_, done = run(PRICES, strategy, rounds=4)
    model = decode_model(done[-1].aggregated.blob)
    assert model.keys() == {"base.weight", "base.bias"}
    falling = losses(done)
    assert falling[-1] < falling[0] / 3


DTYPES = {"half": "float16", "single": "float32", "double": "float64"}


@pytest.mark.parametrize("strategy", ["plain", "scaffold", "ditto"])
@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
def test_weights_of_every_precision_and_whole_numbers_in_buffers_go_round(
    dtype: str, strategy: str
) -> None:
    """Batch norm's count of batches is a constant to the members; its statistics are averaged."""
    learner = {
        "entry": "own_models:Normed",
        "knobs": {"dtype": dtype},
        "roles": {"statistics": ["*.running_*"], "at_least_zero": ["*.running_var"]},
    }
    _, genesis, _, done = run(learner, {"train": strategy})
    assert all(one.aggregated.included == 0b111 for one in done)
    model = model_of(decode_model(done[-1].aggregated.blob))
    assert {name: array.dtype for name, array in model.items()} == {
        name: array.dtype for name, array in genesis.items()
    }
    assert genesis["norm.num_batches_tracked"].shape == ()
    for name, array in model.items():
        assert (array != genesis[name]).any() == (name != "norm.num_batches_tracked"), name


def test_its_simulation_repeats_itself_in_threads_too() -> None:
    """Though its code draws from the process's random numbers, of which threads have one set."""
    with ThreadPoolExecutor(3) as threads:
        first, second = (run(RING, {}, executor=executor)[-1] for executor in (None, threads))
    assert [one.aggregated.digest for one in first] == [one.aggregated.digest for one in second]
