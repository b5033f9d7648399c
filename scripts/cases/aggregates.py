"""Cases of `aggregate`: every rule of aggregation and every codec, and digests that are not what a round comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from cases.case import Case, case_of
from cases.history import History, Sent
from cases.samples import (
    ALICE,
    BOB,
    CAROL,
    everyone,
    history_of,
    manifest_of,
    members,
    model,
    moved,
    numbers,
    played,
)
from cases.validations import coded_arrays
from chain.types import Address, RoundFinalised
from fl_node.arrays import Array, Arrays
from fl_node.blobs.digest import digest_of
from fl_node.blobs.encoding import encode_update
from fl_node.blobs.global_state import SERVER
from fl_node.blobs.model import Model, encode_model
from fl_node.history.record import members_in
from fl_node.round.aggregate import aggregate_round

TWO = {"count": 2}
THREE = {**TWO, "min_updates": 3, "cohort_floor": 3}
SALT = bytes(range(32))
FAR = "9999999999"
"""The largest norm limit."""


def cases() -> Iterator[Case]:
    """The verb's cases."""
    yield from _rules()
    yield from _tensors()
    yield from _numbers()
    yield from _rounds()
    yield from _codecs()
    yield from _forgeries()


def _case(name: str, history: History) -> Case:
    finals = [e.event for e in history.entries if isinstance(e.event, RoundFinalised)]
    rounds = [
        {
            "round": final.round,
            "aggregate": "0x" + final.aggregate_digest.hex(),
            "included": list(members_in(history.manifest.addresses, final.included)),
        }
        for final in finals
    ]
    return case_of("aggregate", name, history, {"rounds": rounds})


# ------------------------------------------------------------------------------------ the rules


def _rules() -> Iterator[Case]:
    yield _case("weighted_mean", played(history_of()))
    yield _combined("equal_weights", {"kind": "weighted_mean", "weights": "equal"})
    for kind in ("momentum", "adagrad", "adam", "yogi"):
        yield _combined(kind, {"kind": kind})
    yield _case("fednova", _of_steps({"kind": "fednova"}))
    yield _case("fednova_with_momentum", _of_steps({"kind": "fednova", "momentum": "0.9"}, "0.9"))
    yield _combined("median_of_three", {"kind": "median"})
    yield _combined("median_of_four", {"kind": "median"}, who=4)
    trimmed = {"kind": "trimmed_mean"}
    yield _combined("trimmed_mean", trimmed, who=5)
    yield _combined("trimmed_mean_of_eleven", {**trimmed, "share": "0.3"}, who=11)
    yield _combined("krum", {"kind": "krum"}, who=5)
    yield _combined("krum_of_the_best_three", {"kind": "krum", "keep": 3}, who=6)
    yield _case("scaffold", played(_scaffold()))


def _combined(name: str, combine: dict[str, Any], who: int = 3) -> Case:
    """Two rounds, so that what the rule keeps has an effect."""
    everybody = members(who)
    rounds = {**TWO, "min_updates": who, "cohort_floor": who}
    return _case(name, played(history_of(manifest_of({"combine": combine}, everybody, rounds))))


def _of_steps(combine: dict[str, Any], momentum: str = "0") -> History:
    learner = {"kind": "classifier", "momentum": momentum}
    history = history_of(manifest_of({"combine": combine}, learner=learner))
    history.play(
        {
            client: history.update(
                client, moved(history, client), 10 + 7 * index, steps=1 + 3 * index
            )
            for index, client in enumerate(history.cohort())
        }
    )
    return history


def _scaffold() -> History:
    return history_of(manifest_of("scaffold", rounds=TWO))


# ------------------------------------------------------------------------------------ the tensors


def _tensors() -> Iterator[Case]:
    for dtype in (np.float16, np.float64):
        cast = {name: array.astype(dtype) for name, array in model().items()}
        yield _case(f"model_of_{np.dtype(dtype)}", played(history_of(first=cast)))
    whole = {
        "base.batches": np.array(3),
        "base.codes": np.arange(5, dtype=np.uint8),
        "base.table": np.arange(4, dtype=np.int32).reshape(2, 2),
    }
    mixed = {**model(), **whole, "base.scalar": np.array(0.5, np.float32)}
    yield _case("constants_and_a_scalar", played(history_of(first=mixed)))
    for unit in ("steps", "rounds"):
        manifest = manifest_of(rounds=TWO, learner={"kind": "gan", "ema_unit": unit})
        yield _case(f"averages_by_{unit}", played(history_of(manifest, _averaged())))
    for combine in ("weighted_mean", "adam", "median"):
        yield _case(f"statistics_beside_{combine}", _measured(combine))
    yield _case("published", _published())


def _averaged() -> Arrays:
    return {
        "generator.weight": numbers("weight", 4, 3),
        "generator_ema.weight": numbers("average", 4, 3),
        "discriminator.weight": numbers("discriminator", 3),
    }


def _measured(combine: str) -> History:
    """Batch norm's statistics, of which one falls below zero."""
    learner = {"kind": "gan", "norm": "batch"}
    first = {
        **_averaged(),
        "generator.norm.running_mean": numbers("mean", 3),
        "generator.norm.running_var": np.array([0.25, 1e-8, 4.0], np.float32),
        "generator_ema.norm.running_mean": numbers("mean", 3),
        "generator_ema.norm.running_var": np.ones(3, np.float32),
    }
    return played(
        history_of(manifest_of({"combine": combine}, rounds=THREE, learner=learner), first)
    )


def _published() -> History:
    """Each shows its own discriminator, which takes no part in the arithmetic."""
    share = {"average": ["generator*"], "publish": ["discriminator.*"]}
    history = history_of(manifest_of({"share": share}, learner="gan"), _averaged())
    sent = {
        client: history.update(
            client,
            {"generator.weight": moved(history, client)["generator.weight"]},
            plain={"published.discriminator.weight": numbers(client, 3, size=1e30)},
        )
        for client in history.cohort()
    }
    history.play(sent)
    return history


# ------------------------------------------------------------------------------------ the numbers


def _numbers() -> Iterator[Case]:
    yield _case("minus_zero", _of_elements(-0.0, (-0.0, -0.0, -0.0)))
    yield _case("denormals", _of_elements(0.0, (1e-45, 1e-45, 3e-45)))
    yield _case("denormal_parent", _of_elements(1e-45, (-1e-45, 0.0, 1e-40)))
    half = np.float16
    yield _case("clamped", _of_elements(65504.0, (100.0, 0.0, 100.0), dtype=half))
    yield _case("clamped_below", _of_elements(-65504.0, (-100.0, 0.0, -100.0), dtype=half))
    yield _case("sum_in_order", _of_elements(0.0, (1e9, -5e8, 1e-9), FAR))
    yield _case("half_way", _of_elements(1.0, (2.0**-24, 2.0**-24, 2.0**-24)))
    yield _case("half_precision_half_way", _of_elements(1.0, (2.0**-11,) * 3, dtype=half))
    yield _case("half_precision_denormal", _of_elements(0.0, (2.0**-25,) * 3, dtype=half))
    large = manifest_of(limits={"examples": (1 << 53) - 1})
    history = history_of(large)
    most = [(1 << 53) - 1, (1 << 53) - 2, 1]
    history.play(
        {
            client: history.update(client, moved(history, client), examples)
            for client, examples in zip(history.cohort(), most, strict=True)
        }
    )
    yield _case("most_examples", history)


def _of_elements(
    parent: float, sent: tuple[float, ...], limit: str = "200", dtype: type[Any] = np.float32
) -> History:
    """A model of one tensor of equal elements but for one, and updates alike."""
    first = {"head.bias": np.full(3, parent, dtype)}
    first["head.bias"][2] = 0.5
    history = history_of(manifest_of(limits={"update_norm": limit}), first)
    with np.errstate(all="ignore"):
        history.play(
            {
                client: history.update(client, {"head.bias": np.full(3, value, np.float32)}, count)
                for client, value, count in zip(history.cohort(), sent, (1, 2, 4), strict=True)
            }
        )
    return history


# ------------------------------------------------------------------------------------ who takes part


def _rounds() -> Iterator[Case]:
    yield _case("two_rounds", played(history_of(manifest_of(rounds=TWO))))
    everybody = members(96)
    yield _case("96_members", played(history_of(manifest_of(who=everybody), _small())))
    alone = {"cohort_floor": 1, "min_updates": 1}
    yield _case("one_member", played(history_of(manifest_of(who=(BOB,), rounds=alone))))
    half = {"cohort_fraction": "0.5", "cohort_floor": 2, "count": 3}
    yield _case(
        "cohorts_of_three_in_six", played(history_of(manifest_of(who=members(6), rounds=half)))
    )

    history = history_of()
    history.commit({})
    yield _case("all_declined", history)

    history = history_of(manifest_of({"combine": "adam"}, rounds=TWO))
    history.play(everyone(history))
    history.play({client: replace(sent, lies=None) for client, sent in everyone(history).items()})
    yield _case("nobody_counts", history)

    history = history_of()
    sent = everyone(history)
    history.play({ALICE: sent[ALICE], CAROL: sent[CAROL]})
    yield _case("one_declined", history)

    history = history_of()
    sent = everyone(history)
    history.play({client: sent[client] for client in (CAROL, ALICE, BOB)})
    yield _case("revealed_in_another_order", history)

    history = history_of()
    sent = everyone(history)
    history.play({**sent, BOB: replace(sent[BOB], lies=b"another")})
    yield _case("one_left_out", history)

    history = history_of()
    sent = everyone(history)
    history.play({**sent, BOB: history.update(BOB, moved(history, ALICE))})
    yield _case("a_copy_left_out", history)

    history = history_of()
    history.send(everyone(history))
    history.abort()
    history.play(everyone(history))
    yield _case("second_attempt", history)

    history = history_of()
    history.play({c: history.sealed(one, SALT) for c, one in everyone(history).items()})
    yield _case("sealed", history)


def _small() -> Arrays:
    return {"head.bias": numbers("bias", 3)}


# ------------------------------------------------------------------------------------ the codecs


CHAINS: dict[str, list[dict[str, Any]]] = {
    "low_rank": [{"kind": "low_rank", "rank": 2}],
    "subsample": [{"kind": "subsample", "one_in": 5}],
    "subsample_unscaled": [{"kind": "subsample", "one_in": 4, "scaled": False}],
    "top_k": [{"kind": "top_k", "fraction": "0.1"}],
    "top_k_of_all": [{"kind": "top_k", "fraction": "1"}],
    "esgd": [{"kind": "esgd", "fraction": "0.3"}],
    "rotate": [{"kind": "rotate", "block": 16}],
    "rotate_in_large_blocks": [{"kind": "rotate", "block": 1024}],
    "quantise": [{"kind": "quantise"}],
    "quantise_to_1_bit": [{"kind": "quantise", "bits": 1, "bucket": 16}],
    "quantise_to_2_bits_by_norm": [{"kind": "quantise", "bits": 2, "spread": "norm"}],
    "quantise_to_4_bits": [{"kind": "quantise", "bits": 4, "bucket": 64}],
    "quantise_to_8_bits_by_norm": [{"kind": "quantise", "spread": "norm", "bucket": 32}],
    "low_rank_and_quantise": [{"kind": "low_rank", "rank": 2}, {"kind": "quantise"}],
    "top_k_and_quantise": [{"kind": "top_k", "fraction": "0.2"}, {"kind": "quantise", "bits": 4}],
    "sketched": [
        {"kind": "subsample", "one_in": 3},
        {"kind": "rotate", "block": 8},
        {"kind": "quantise", "bits": 2},
    ],
}


def _codecs() -> Iterator[Case]:
    for name, stages in CHAINS.items():
        yield _case(
            f"codec_{name}",
            _coded({"encode": {"stages": stages, "feedback": int("scaled" in stages[0])}}),
        )
    yield _case("codec_beside_scaffold", _coded({"preset": "scaffold", "encode": ["quantise"]}))


def _coded(strategy: dict[str, Any]) -> History:
    first = {**model(), "base.kernels": numbers("kernels", 7, 5, 3, 3)}
    history = history_of(manifest_of(strategy), first)
    history.play({client: _travelling(history, client) for client in history.cohort()})
    return history


def _travelling(history: History, client: Address) -> Sent:
    return Sent(encode_update(history.header(client), coded_arrays(history, client)))


# ------------------------------------------------------------------------------------ other digests


def _forgeries() -> Iterator[Case]:
    """Digests of which a quorum says that they are the round's: each by another mistake in the arithmetic."""
    yield _forged("last_bit", lambda parent, sent: _flipped(_mean(parent, sent)))
    yield _forged("parent_again", lambda parent, sent: parent)
    yield _forged(
        "weights_taken_as_equal", lambda parent, sent: _mean(parent, [(1, u) for _, u in sent])
    )
    yield _forged("one_left_out", lambda parent, sent: _mean(parent, sent[1:]))
    yield _forged("in_single_precision", lambda parent, sent: _mean(parent, sent, np.float32))
    history = _of_elements(-0.0, (-0.0, -0.0, -0.0))
    yield _instead("sum_from_plus_zero", history, {"head.bias": np.array([0, 0, 0.5], np.float32)})
    values = (1e9, -5e8, 1e-9)
    cancelling = _of_elements(0.0, values, FAR)
    parent = cancelling.genesis
    sent = [(count, {"head.bias": np.full(3, value, np.float32)})
            for count, value in zip((1, 2, 4), values, strict=True)]  # fmt: skip
    yield _instead("sum_in_reverse", cancelling, _mean(parent, sent[::-1]))
    yield _forgotten()
    yield _lost()


def _forged(name: str, wrong: Callable[[Arrays, list[tuple[int, Arrays]]], Arrays]) -> Case:
    history = history_of()
    honest = everyone(history)
    history.send(honest)
    sent = [(one.examples, moved(history, client)) for client, one in honest.items()]
    blob = encode_model(wrong(history.parent.arrays, sent))
    assert blob != history.aggregate().blob, f"{name} makes no difference"
    history.attest(history.put(blob), 0b111)
    return _mistaken(name, history)


def _mistaken(name: str, history: History, round: int = 1) -> Case:
    return case_of("aggregate", f"{name}_fail", history, {"finding": "A7", "round": round})


def _mean(
    parent: Arrays, sent: list[tuple[int, Arrays]], dtype: type[Any] = np.float64
) -> dict[str, Array]:
    """The weighted mean, by its definition."""
    whole = dtype(sum(count for count, _ in sent))
    found = {}
    for name, weights in parent.items():
        products = [update[name].astype(dtype) * dtype(count) for count, update in sent]
        total = products[0]
        for product in products[1:]:
            total = total + product
        found[name] = (weights.astype(dtype) + total / whole).astype(np.float32)
    return found


def _flipped(arrays: dict[str, Array]) -> Arrays:
    bias = arrays["head.bias"].copy()
    bias.view(np.uint32)[-1] ^= 1
    return {**arrays, "head.bias": bias}


def _instead(name: str, right: History, wrong: Arrays) -> Case:
    """The same history, but for what its round came to."""
    assert encode_model(wrong) != right.blobs[right.state.parent_digest.hex()]
    history = replace(right, blobs={})
    history.send(
        {revealed.client: _sent_in(right, revealed.reveal) for revealed in right.played_reveals}
    )
    history.attest(history.put(encode_model(wrong)), 0b111)
    return _mistaken(name, history)


def _sent_in(history: History, reveal: Any) -> Sent:
    return Sent(history.blobs[reveal.update_digest.hex()], reveal.num_examples)


def _forgotten() -> Case:
    """The momentum of the first round is not there in the second."""
    history = history_of(manifest_of({"combine": "momentum"}, rounds=TWO))
    history.play(everyone(history))
    history.send(everyone(history))
    fresh = {
        name: np.zeros_like(array) if name.startswith(SERVER) else array
        for name, array in history.parent.arrays.items()
    }
    parent = Model(history.parent.digest, fresh)
    wrong = aggregate_round(history, history.manifest, parent, history.reveals()[0])
    history.attest(history.put(wrong.blob), 0b111)
    return _mistaken("momentum_forgotten", history, round=2)


def _lost() -> Case:
    """An update that was there is not any more."""
    history = played(history_of())
    digest = history.played_reveals[1].reveal.update_digest
    assert digest_of(history.blobs.pop(digest.hex())) == digest
    return _mistaken("update_lost", history)
