"""Cases of `validate`: every rule, and what only looks like breaking one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np

from cases.case import Case, case_of
from cases.history import History, Sent
from cases.samples import (
    ALICE,
    BOB,
    CAROL,
    STATING,
    STRANGER,
    everyone,
    history_of,
    manifest_of,
    members,
    moved,
    numbers,
    played,
)
from cases.spelling import file_of, noted, parts_of, respelt
from chain.types import Address
from fl_node.arrays import Array, Arrays
from fl_node.blobs.encoding import encode_update
from fl_node.blobs.model import encode_model
from fl_node.blobs.sealed import MAGIC, seal
from fl_node.manifest.manifest import Manifest
from fl_node.round.form import update_form
from fl_node.strategy.encode import encode_arrays

Reasons = Mapping[Address, str]
Breaking = Callable[[History, Sent], Sent]

NOBODY: Reasons = {}
SALT = bytes(range(32))
NEARLY_A_TENTH = 13_107 / (1 << 17)
TENTH = "0.09999847412109375"
"""The same, which a float32 holds exactly, as a decimal."""
BELOW = "0.099998474121093749"
"""A decimal below it whose nearest float64 it is."""


def cases() -> Iterator[Case]:
    """The verb's cases."""
    yield _case("honest", played(history_of()))
    yield from _stored()
    yield from _stated()
    yield from _named()
    yield from _spelt()
    yield from _formed()
    yield from _long()
    yield from _repeated()
    yield from _sealed()
    yield from _coded()
    yield from _first_of_two()


def _case(name: str, history: History, reasons: Reasons = NOBODY) -> Case:
    """A case of one round: who is left out, and because of what."""
    updates = [
        {"round": 1, "client": one.client, "left_out_because": reasons.get(one.client)}
        for one in history.played_reveals
    ]
    return case_of("validate", name, history, {"updates": updates})


def _broken(
    name: str,
    rule: str,
    breaking: Breaking,
    manifest: Manifest | None = None,
    first: Arrays | None = None,
    size: float = 1.0,
    **stating: Any,
) -> Case:
    """A round of two updates, of which the first member's breaks a rule."""
    history = history_of(manifest, first)
    sent = {
        client: history.update(client, moved(history, client, size), 10 + 7 * index, **stating)
        for index, client in enumerate(history.cohort()[:2])
    }
    broken = history.cohort()[0]
    history.play({**sent, broken: breaking(history, sent[broken])})
    return _case(f"{name}_fail", history, {broken: rule})


def _kept(name: str, change: Breaking, manifest: Manifest | None = None, size: float = 1.0) -> Case:
    """A round in which the first member's update is unusual, and counts."""
    history = history_of(manifest)
    sent = everyone(history, size)
    history.play({ALICE: change(history, sent[ALICE]), BOB: sent[BOB]})
    return _case(name, history)


def _stating(**changes: Any) -> Breaking:
    """Alice's update with other metadata."""

    def build(history: History, sent: Sent) -> Sent:
        header = replace(history.header(ALICE), **changes)
        return replace(sent, blob=encode_update(header, moved(history, ALICE)))

    return build


def _with(change: Callable[[dict[str, Array]], Arrays]) -> Breaking:
    """Alice's update with other tensors, past the codecs."""

    def build(history: History, sent: Sent) -> Sent:
        return replace(
            sent, blob=encode_update(history.header(ALICE), change(moved(history, ALICE)))
        )

    return build


def _spelled(old: str, new: str) -> Breaking:
    return lambda history, sent: respelt(sent, old, new)


def _rewritten(change: Callable[[bytes], bytes]) -> Breaking:
    return lambda history, sent: replace(sent, blob=change(sent.blob))


# ------------------------------------------------------------------------------------ the store


def _stored() -> Iterator[Case]:
    def lies(change: Callable[[bytes], bytes | None]) -> Breaking:
        return lambda history, sent: replace(sent, lies=change(sent.blob))

    yield _broken("missing", "missing", lies(lambda blob: None))
    yield _broken("bit_flipped", "tampered", lies(lambda blob: blob[:-1] + bytes([blob[-1] ^ 1])))
    yield _broken("cut_short", "tampered", lies(lambda blob: blob[:-4]))
    yield _broken("emptied", "tampered", lies(lambda blob: b""))
    yield _broken("longer_than_possible", "oversized", lies(lambda blob: blob + bytes(1000)))
    yield _broken("revealed_too_long", "oversized", _rewritten(lambda blob: blob + bytes(1000)))


# ------------------------------------------------------------------------------------ what it states


def _stated() -> Iterator[Case]:
    yield _broken("task", "task", _stating(task=2))
    yield _broken("round", "round", _stating(round=2))
    yield _broken("client", "client", _stating(client=BOB))
    yield _broken("parent_digest", "parent_digest", _stating(parent_digest=bytes(32)))
    yield _broken("num_examples", "num_examples", _stating(num_examples=11))
    yield _broken("codec", "codec", _stating(codec="top_k"))
    yield _broken("seed", "seed", _stating(seed=1))
    yield _broken("no_steps", "steps_limit", _stating(steps=0))
    few = manifest_of(limits={"steps": 7})
    yield _broken("too_many_steps", "steps_limit", _stating(steps=8), few)
    yield _kept("most_steps", _stating(steps=7), few)
    yield _examples("too_many_examples_fail", 1001, {ALICE: "examples_limit"})
    yield _examples("uint64_of_examples_fail", (1 << 64) - 1, {ALICE: "examples_limit"})
    yield _examples("most_examples", 1000)
    history = history_of(manifest_of(), members=(ALICE, BOB, CAROL, STRANGER))
    history.play(everyone(history))
    yield _case("member_fail", history, {STRANGER: "member"})
    yield _not_checksummed()


def _examples(name: str, examples: int, reasons: Reasons = NOBODY) -> Case:
    history = history_of(manifest_of(limits={"examples": 1000}))
    own = history.update(ALICE, moved(history, ALICE), examples)
    history.play({**everyone(history), ALICE: own})
    return _case(name, history, reasons)


def _not_checksummed() -> Case:
    history = history_of(manifest_of(who=members(3)))
    sent = everyone(history)
    client = history.cohort()[0]
    assert client != client.lower()
    history.play({**sent, client: respelt(sent[client], client, client.lower())})
    return _case("client_not_checksummed_fail", history, {client: "client"})


def _named() -> Iterator[Case]:
    """Metrics and versions, by name and by spelling."""
    manifest = manifest_of(learner=STATING)
    given = {
        "metrics": {"accuracy": Decimal("0.913"), "auc": None},
        "versions": {"scikit-learn": "1.7.2", "torch": '2.15.0+"cu"'},
    }

    def stating(name: str, rule: str, **changes: Any) -> Case:
        return _broken(name, rule, _stating(**{**given, **changes}), manifest, **given)

    def spelled(name: str, old: str, new: str) -> Case:
        breaking = _spelled(noted(old), noted(new))
        return _broken(name, "malformed", breaking, manifest, **given)

    yield stating("metric_missing", "metrics", metrics={"accuracy": None})
    yield stating("other_metric", "metrics", metrics={"accuracy": None, "AUC": None})
    yield stating("version_missing", "versions", versions={"torch": "2"})
    yield stating("other_version", "versions", versions={"scikit-learn": "1", "numpy": "2"})
    yield spelled("metric_with_trailing_zero", '"0.913"', '"0.910"')
    yield spelled("metric_with_exponent", '"0.913"', '"9e-1"')
    yield spelled("metric_of_ten_decimals", '"0.913"', '"0.9131234567"')
    yield spelled("metric_too_large", '"0.913"', '"1000000000"')
    yield spelled("metric_minus_zero", '"0.913"', '"-0"')
    yield spelled("metric_as_a_number", '"0.913"', "1")
    yield spelled("version_empty", '"1.7.2"', '""')
    yield spelled("version_not_ascii", '"1.7.2"', '"1.7é"')


# ------------------------------------------------------------------------------------ how it is spelt


def _spelt() -> Iterator[Case]:
    """Blobs that are no update: everything that the one spelling excludes."""
    notes = {
        "another_format": ('"format":3', '"format":2'),
        "steps_with_a_fraction": ('"steps":5', '"steps":5.0'),
        "steps_true": ('"steps":5', '"steps":true'),
        "steps_negative": ('"steps":5', '"steps":-5'),
        "steps_with_leading_zero": ('"steps":5', '"steps":05'),
        "digest_in_upper_case": ('"parent":"', '"parent":"A'),
        "space_in_metadata": ('"steps":5', '"steps": 5'),
        "key_missing_in_metadata": ('"steps":5,', ""),
        "key_twice_in_metadata": ('"steps":5', '"steps":5,"task":1'),
    }
    for name, (old, new) in notes.items():
        yield _broken(name, "malformed", _spelled(noted(old), noted(new)))
    texts = {
        "space_in_header": ('{"__metadata__"', '{ "__metadata__"'),
        "no_object": ('{"__metadata__"', '["__metadata__"'),
        "other_key_in_metadata": ('{"ganchor":', '{"gancho2":'),
        "shape_negative": ('"shape":[5]', '"shape":[-5]'),
        "shape_of_nothing": ('"shape":[5]', '"shape":[0]'),
        "unknown_dtype": ('"dtype":"F32","shape":[5]', '"dtype":"BF16","shape":[5]'),
        "offsets_overlap": ('"data_offsets":[48,68]', '"data_offsets":[47,67]'),
        "offsets_with_gap": ('"data_offsets":[48,68]', '"data_offsets":[49,69]'),
        "keys_of_an_entry_in_other_order": (
            '"dtype":"F32","shape":[5]',
            '"shape":[5],"dtype":"F32"',
        ),
        "name_escaped_needlessly": ('"head.bias"', '"head.bia\\u0073"'),
    }
    for name, (old, new) in texts.items():
        yield _broken(name, "malformed", _spelled(old, new))
    blobs: dict[str, Callable[[bytes], bytes]] = {
        "empty": lambda blob: b"",
        "seven_bytes": lambda blob: blob[:7],
        "header_longer_than_the_blob": lambda blob: (len(blob)).to_bytes(8, "little") + blob[8:],
        "header_of_endless_length": lambda blob: b"\xff" * 8 + blob[8:],
        "data_missing": lambda blob: blob[:-4],
        "byte_at_the_end": lambda blob: blob + b"\0",
        "padded_with_nulls": _padded,
        "not_utf8": lambda blob: blob.replace(b"head.bias", b"head.bia\xff"),
        "tensors_in_other_order": _other_order,
        "metadata_last": _metadata_last,
    }
    for name, change in blobs.items():
        yield _broken(name, "malformed", _rewritten(change))
    plain = _with(lambda arrays: arrays)
    bare: Breaking = lambda history, sent: replace(  # noqa: E731
        plain(history, sent), blob=encode_model(moved(history, ALICE))
    )
    yield _broken("no_metadata", "malformed", bare)
    deep = b"[" * 40 + b"]" * 40
    yield _broken("nested_deeply", "malformed", _rewritten(lambda blob: file_of(deep, b"")))


def _padded(blob: bytes) -> bytes:
    """Padding that is no space. The client's own word on its steps makes room for it."""
    text, data = parts_of(blob)
    while len(text) % 8 == 0:
        text = text.replace(noted('"steps":').encode(), noted('"steps":1').encode(), 1)
    return file_of(text, data, padding=b"\0")


ENTRIES = b'"base.weight":{"dtype":"F32","shape":[4,3],"data_offsets":[0,48]}'
LATER = b'"head.bias":{"dtype":"F32","shape":[5],"data_offsets":[48,68]}'


def _other_order(blob: bytes) -> bytes:
    text, data = parts_of(blob)
    both = ENTRIES + b"," + LATER
    assert both in text
    return file_of(text.replace(both, LATER + b"," + ENTRIES), data)


def _metadata_last(blob: bytes) -> bytes:
    text, data = parts_of(blob)
    tensors = ENTRIES + b"," + LATER
    metadata = text[1 : text.index(b"," + tensors)]
    return file_of(b"{" + tensors + b"," + metadata + b"}", data)


# ------------------------------------------------------------------------------------ which tensors


def _formed() -> Iterator[Case]:
    def without(arrays: dict[str, Array]) -> Arrays:
        return {"base.weight": arrays["base.weight"]}

    def renamed(arrays: dict[str, Array]) -> Arrays:
        return {**without(arrays), "head.beta": arrays["head.bias"]}

    def turned(arrays: dict[str, Array]) -> Arrays:
        return {**arrays, "base.weight": arrays["base.weight"].reshape(3, 4)}

    def halved(arrays: dict[str, Array]) -> Arrays:
        return {**arrays, "head.bias": arrays["head.bias"].astype(np.float16)}

    def whole(arrays: dict[str, Array]) -> Arrays:
        return {**arrays, "head.bias": arrays["head.bias"].astype(np.int32)}

    changes = {
        "tensor_missing": without,
        "tensor_of_another_name": renamed,
        "tensor_of_another_shape": turned,
        "tensor_of_half_precision": halved,
        "tensor_of_integers": whole,
    }
    for name, change in changes.items():
        yield _broken(name, "tensors", _with(change))


# ------------------------------------------------------------------------------------ how long it is


def _long() -> Iterator[Case]:
    for name, value in (("nan", np.nan), ("infinity", np.inf), ("minus_infinity", -np.inf)):
        yield _broken(name, "finite", _with(_one_element(value)))
    huge = _with(_one_element(np.finfo(np.float32).max))
    yield _broken("largest_float32", "norm_limit", huge)
    tight = manifest_of(limits={"update_norm": TENTH})
    just_above = manifest_of(limits={"update_norm": BELOW})
    tenth = _with(lambda arrays: _single(arrays, NEARLY_A_TENTH))
    yield _kept("norm_at_the_limit", tenth, tight, size=0.01)
    yield _broken("norm_above_the_exact_limit", "norm_limit", tenth, just_above, size=0.01)
    yield _broken("norm_of_both_tensors", "norm_limit", _with(_both), tight, size=0.01)
    yield _kept("denormals", _with(lambda arrays: _single(arrays, 1e-45)), tight, size=0.01)


def _one_element(value: float) -> Callable[[dict[str, Array]], Arrays]:
    def change(arrays: dict[str, Array]) -> Arrays:
        bias = arrays["head.bias"].copy()
        bias[3] = value
        return {**arrays, "head.bias": bias}

    return change


def _single(arrays: Arrays, value: float) -> dict[str, Array]:
    """Zeros but for one element."""
    zeros = {name: np.zeros_like(array) for name, array in arrays.items()}
    zeros["head.bias"][0] = value
    return zeros


def _both(arrays: Arrays) -> dict[str, Array]:
    """Two tensors within the limit that are above it together."""
    found = _single(arrays, 0.08)
    found["base.weight"][0, 0] = 0.08
    return found


# ------------------------------------------------------------------------------------ who was first


def _repeated() -> Iterator[Case]:
    history = history_of()
    sent = everyone(history)
    history.play({**sent, BOB: _copy(history, BOB, ALICE)})
    yield _case("repeat_fail", history, {BOB: "repeat"})

    history = history_of()
    sent = everyone(history)
    history.play({BOB: sent[BOB], CAROL: sent[CAROL], ALICE: _copy(history, ALICE, BOB)})
    yield _case("repeat_of_who_revealed_first_fail", history, {ALICE: "repeat"})

    history = history_of()
    sent = everyone(history)
    changed = moved(history, ALICE)
    changed["head.bias"][0] = np.nextafter(changed["head.bias"][0], np.float32(2))
    history.play({**sent, BOB: history.update(BOB, changed)})
    yield _case("almost_a_repeat", history)

    history = history_of()
    sent = everyone(history)
    invalid = replace(history.update(ALICE, moved(history, ALICE), seed=1), examples=10)
    history.play({**sent, ALICE: invalid, BOB: _copy(history, BOB, ALICE)})
    yield _case("repeat_of_one_left_out_fail", history, {ALICE: "seed"})

    history = history_of()
    sent = everyone(history)
    sealed = history.sealed(_copy(history, BOB, ALICE), SALT)
    history.play({**sent, BOB: sealed})
    yield _case("repeat_sealed_fail", history, {BOB: "repeat"})

    history = history_of()
    sent = everyone(history)
    history.play({client: _copy(history, client, ALICE) for client in sent})
    yield _case("all_the_same_fail", history, {BOB: "repeat", CAROL: "repeat"})
    yield from _repeated_after_an_abort()


def _repeated_after_an_abort() -> Iterator[Case]:
    history = history_of()
    sent = everyone(history)
    history.send(sent)
    history.abort()
    history.play(sent)
    yield _case("own_again_after_an_abort", history)

    history = history_of()
    sent = everyone(history)
    history.send(sent)
    history.abort()
    other = history.update(ALICE, moved(history, ALICE, size=0.5))
    history.play({ALICE: other, BOB: _copy(history, BOB, ALICE), CAROL: sent[CAROL]})
    yield _case("repeat_of_an_aborted_attempt_fail", history, {BOB: "repeat"})

    history = history_of()
    sent = everyone(history)
    history.send({**sent, ALICE: replace(sent[ALICE], lies=None)})
    history.abort()
    other = history.update(ALICE, moved(history, ALICE, size=0.5))
    history.play({ALICE: other, BOB: _copy(history, BOB, ALICE), CAROL: sent[CAROL]})
    yield _case("repeat_of_what_is_missing", history)


def _copy(history: History, client: Address, of: Address) -> Sent:
    """Another member's tensors under one's own name."""
    return history.update(client, moved(history, of), examples=12)


# ------------------------------------------------------------------------------------ what is sealed


def _sealed() -> Iterator[Case]:
    history = history_of()
    sent = everyone(history)
    history.play({**sent, ALICE: history.sealed(sent[ALICE], SALT)})
    yield _case("sealed", history)

    def sealed(change: Callable[[bytes], bytes]) -> Breaking:
        return lambda history, sent: replace(sent, blob=change(sent.blob), salt=SALT)

    yield _broken("sealed_with_another_salt", "malformed", sealed(lambda b: seal(b, bytes(32))))
    yield _broken("seal_of_nothing", "malformed", sealed(lambda b: MAGIC))
    yield _broken("seal_of_another_version", "malformed", sealed(_version_two))
    yield _broken("sealed_and_cut_short", "malformed", sealed(lambda b: seal(b[:-4], SALT)))
    yield _broken("sealed_and_altered", "malformed", sealed(_header_altered))


def _version_two(blob: bytes) -> bytes:
    return b"ganchor\x02" + seal(blob, SALT)[8:]


def _header_altered(blob: bytes) -> bytes:
    closed = bytearray(seal(blob, SALT))
    closed[20] ^= 1
    return bytes(closed)


# ------------------------------------------------------------------------------------ what codecs cannot write


def _coded() -> Iterator[Case]:
    quantised = {"kind": "quantise", "bits": 4, "bucket": 8}
    by_norm = {**quantised, "spread": "norm"}
    sparse = {"kind": "top_k", "fraction": "0.25"}
    yield _coding("scale_not_finite", "finite", quantised, "head.bias/quantise.scale", _nan)
    yield _coding("unused_bits", "malformed", quantised, "head.bias", _high_bits)
    yield _coding("level_too_high", "malformed", by_norm, "base.weight", lambda a: a | 0xFF)
    yield _coding("positions_again", "malformed", sparse, "base.weight/top_k.indices", _zeros)
    yield _coding("positions_beyond", "malformed", sparse, "base.weight/top_k.indices", _last)
    yield _coding("bits_beyond", "malformed", sparse, "base.weight/top_k.indices", _high_bits)
    yield _coding("values_of_another_count", "tensors", sparse, "base.weight", lambda a: a[:-1])
    turned = {"kind": "rotate", "block": 4}
    yield _coding("rotated_infinity", "finite", turned, "base.weight", _nan)
    plain = {"kind": "low_rank", "rank": 2}
    yield _coding("rank_too_low", "tensors", plain, "base.weight", lambda a: a[:1])


def _coding(
    name: str, rule: str, stage: dict[str, Any], part: str, change: Callable[[Array], Array]
) -> Case:
    """A round in which one tensor of Alice's update, as it travels, is another."""
    history = history_of(manifest_of({"encode": [stage]}))
    sent = {client: _encoded(history, client, stage) for client in history.cohort()[:2]}
    altered = _encoded(history, ALICE, stage, part, change)
    history.play({**sent, ALICE: altered})
    return _case(f"{name}_fail", history, {ALICE: rule})


def _encoded(
    history: History,
    client: Address,
    stage: dict[str, Any],
    part: str = "",
    change: Callable[[Array], Array] = lambda array: array,
) -> Sent:
    arrays = coded_arrays(history, client)
    if part:
        arrays[part] = np.ascontiguousarray(change(arrays[part].copy()))
    return Sent(encode_update(history.header(client), arrays))


def coded_arrays(history: History, client: Address) -> dict[str, Array]:
    """An update as it travels. What low rank keeps is no machine's fit: the numbers stand for themselves."""
    stages = history.manifest.strategy.encode.stages
    if any(stage.kind == "low_rank" for stage in stages):
        form = update_form(history.manifest, history.parent.arrays)
        shapes = form.encoded(stages)
        return {name: numbers(f"{client} {name}", *spec.shape) for name, spec in shapes.items()}
    return encode_arrays(stages, moved(history, client), history.header(client).seed)


def _nan(array: Array) -> Array:
    array.reshape(-1)[0] = np.nan
    return array


def _zeros(array: Array) -> Array:
    return np.zeros_like(array)


def _last(array: Array) -> Array:
    return np.full_like(array, 0x0F) if array.size == 1 else np.full_like(array, 0xFF)


def _high_bits(array: Array) -> Array:
    array[-1] |= 0x80
    return array


# ------------------------------------------------------------------------------------ which rule is named


def _first_of_two() -> Iterator[Case]:
    nan = _one_element(np.nan)
    yield _broken("task_before_round", "task", _stating(task=2, round=2))
    yield _broken("seed_before_steps", "seed", _stating(seed=1, steps=0))
    both: Breaking = lambda history, sent: replace(  # noqa: E731
        sent, blob=encode_update(history.header(ALICE, seed=1), nan(moved(history, ALICE)))
    )
    yield _broken("seed_before_finite", "seed", both)
    renamed: Breaking = lambda history, sent: replace(  # noqa: E731
        sent, blob=encode_update(history.header(ALICE, steps=0), {"w": np.zeros(3, np.float32)})
    )
    yield _broken("steps_before_tensors", "steps_limit", renamed)
    above: Breaking = lambda history, sent: replace(  # noqa: E731
        sent,
        blob=encode_update(history.header(ALICE), {**_one_element(np.nan)(_far(history))}),
    )
    yield _broken("finite_before_norm", "finite", above)
    history = history_of()
    sent = everyone(history)
    sent[ALICE] = replace(sent[ALICE], lies=None)
    sent[BOB] = replace(history.update(BOB, moved(history, BOB), task=9), examples=17)
    sent[CAROL] = replace(history.update(CAROL, moved(history, CAROL), round=9), examples=24)
    history.play(sent)
    reasons = {ALICE: "missing", BOB: "task", CAROL: "round"}
    yield _case("nobody_counts_fail", history, reasons)


def _far(history: History) -> dict[str, Array]:
    return moved(history, ALICE, size=2.0**20)
