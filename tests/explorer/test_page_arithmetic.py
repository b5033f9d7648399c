"""The page's encodings and arithmetic, against the ones in Python: the same bytes, the same refusals."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import Page, Refused
from codec_samples import Stages, chains, seeds, shapes
from doubles import small_manifest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from chain.types import Address
from fl_node.arrays import Arrays
from fl_node.blobs.canonical import canonical_json, parse_json
from fl_node.blobs.encoding import Update, UpdateHeader
from fl_node.blobs.global_state import first_state, model_of
from fl_node.blobs.model import Model, encode_model
from fl_node.blobs.sealed import seal, unseal
from fl_node.blobs.tensors import Spec, decode_tensors, encode_tensors
from fl_node.errors import BadData, BlobMalformed
from fl_node.manifest.manifest import Manifest
from fl_node.round.aggregate import _advance, _averages, _combine
from fl_node.round.validity import norm
from fl_node.seeds import derive_seed
from fl_node.strategy.combine.derived import decay, never_negative
from fl_node.strategy.combine.fednova import gradient_weight
from fl_node.strategy.encode import decode_arrays, encode_arrays
from fl_node.strategy.roles import Average
from fl_node.strategy.train import TRAIN

ENOUGH = settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
VECTORS = Path(__file__).parents[1] / "vectors"
CLIENTS = [Address(f"0x{number:040x}") for number in range(1, 8)]

floats = st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def judged(page: Page, name: str, *arguments: Any) -> Any:
    try:
        return page.ask(name, *arguments)
    except Refused as refused:
        return str(refused)


class TestJson:
    @ENOUGH
    @given(values)
    def test_canonical_json_stays_as_it_is(self, page: Page, value: Any) -> None:
        written = canonical_json(value)
        assert page.ask("json", written.hex()) == written.hex()

    @ENOUGH
    @given(values, st.data())
    def test_any_other_spelling_is_malformed(
        self, page: Page, value: Any, data: st.DataObject
    ) -> None:
        written = canonical_json(value).decode()
        at = data.draw(st.integers(0, len(written)))
        put = data.draw(
            st.sampled_from(["", " ", "0", '"', "\\u0061", "-", "{", "]", ",", "\\", "."])
        )
        cut = data.draw(st.integers(0, 2))
        spoilt = written[:at] + put + written[at + cut :]
        try:
            fits = canonical_json(parse_json(spoilt)).decode() == spoilt
        except (ValueError, TypeError):
            fits = False
        assert (judged(page, "json", spoilt.encode().hex()) != "malformed") == fits

    @pytest.mark.parametrize(
        "text",
        [
            "[" * 33 + "]" * 33,
            '{"a":1,"a":1}',
            "1e999999999",
            "1.0",
            "9" * 79,
            "-0",
            "NaN",
            '"\\ud800"',
            "\ufeff1",
        ],
    )
    def test_what_canonical_json_never_has_is_malformed(self, page: Page, text: str) -> None:
        assert judged(page, "json", text.encode().hex()) == "malformed"


arrays = st.dictionaries(
    st.text(min_size=1, max_size=4).filter(lambda name: name != "__metadata__"),
    hnp.arrays(
        st.sampled_from(["<i8", "<f8", "<f4", "<i4", "<f2", "u1"]),
        hnp.array_shapes(min_dims=0, max_dims=3, max_side=3),
    ),
    max_size=4,
)


class TestTensors:
    @ENOUGH
    @given(arrays, st.none() | st.text(max_size=10))
    def test_a_blob_stays_as_it_is(self, page: Page, content: Arrays, note: str | None) -> None:
        blob = encode_tensors(content, note)
        assert page.ask("tensors", blob.hex()) == blob.hex()

    @ENOUGH
    @given(arrays, st.data())
    def test_any_other_spelling_is_malformed(
        self, page: Page, content: Arrays, data: st.DataObject
    ) -> None:
        blob = encode_tensors(content)
        at = data.draw(st.integers(0, len(blob) - 1))
        spoilt = (
            blob[:at] + data.draw(st.binary(max_size=2)) + blob[at + data.draw(st.integers(0, 2)) :]
        )
        try:
            decode_tensors(spoilt)
            fits = True
        except BlobMalformed:
            fits = False
        assert (judged(page, "tensors", spoilt.hex()) != "malformed") == fits

    @ENOUGH
    @given(arrays)
    def test_the_norm_of_float32(self, page: Page, content: Arrays) -> None:
        narrow = {name: one for name, one in content.items() if one.dtype == np.float32}
        expected = norm(narrow)
        found = page.ask("norm", encode_model(narrow).hex())
        assert found == ("Infinity" if math.isinf(expected) else found)
        assert math.isinf(expected) or float(found) == expected


class TestNumbers:
    @ENOUGH
    @given(st.lists(floats, max_size=20))
    def test_exact_sums(self, page: Page, numbers: list[float]) -> None:
        try:
            expected = math.fsum(numbers)
        except OverflowError:
            return
        assert float(page.ask("fsum", numbers)) == expected

    @ENOUGH
    @given(st.decimals("0", "9999999999", places=18))
    def test_the_float_nearest_to_a_decimal(self, page: Page, number: Decimal) -> None:
        written = format(number.normalize(), "f")
        assert float(page.ask("nearest", written)) == float(written)

    @ENOUGH
    @given(
        st.integers(1, 10**6),
        st.sampled_from(["steps", "rounds"]),
        st.lists(st.integers(1, 2**31 - 1), min_size=1, max_size=5),
    )
    def test_the_decay_of_averages(
        self, page: Page, half_life: int, unit: Any, steps: list[int]
    ) -> None:
        average = Average(name="a", of="b", half_life=half_life, unit=unit)
        assert tuple(page.ask("decay", half_life, unit, steps)) == decay(average, steps)

    @ENOUGH
    @given(st.integers(1, 2**31 - 1), st.decimals("0", "0.999999999", places=9))
    def test_the_weight_of_gradients(self, page: Page, steps: int, momentum: Decimal) -> None:
        over, under = map(int, page.ask("gradientWeight", steps, format(momentum.normalize(), "f")))
        expected = gradient_weight(steps, momentum)
        assert over * expected.denominator == under * expected.numerator

    @ENOUGH
    @given(seeds, st.integers(0, 100))
    def test_random_bits(self, page: Page, seed: int, count: int) -> None:
        expected = np.random.PCG64(seed).random_raw(13).astype("<u8").tobytes()[:count]
        assert page.ask("randomBytes", str(seed), count) == expected.hex()

    @ENOUGH
    @given(seeds, st.lists(st.text(max_size=5) | st.integers(0, 2**53), max_size=3))
    def test_seeds(self, page: Page, seed: int, labels: list[str | int]) -> None:
        assert page.ask("seed", str(seed), *labels) == str(derive_seed(seed, *labels))


@ENOUGH
@given(st.text("ab.*", max_size=5), st.text("ab.*?[]!-", max_size=5))
def test_patterns(page: Page, name: str, pattern: str) -> None:
    assert page.ask("matches", name, [pattern]) == fnmatchcase(name, pattern)


@ENOUGH
@given(
    st.binary(max_size=70) | st.just(bytes(range(251)) * 17), st.binary(min_size=32, max_size=32)
)
def test_seals(page: Page, blob: bytes, salt: bytes) -> None:
    assert page.ask("unseal", seal(blob, salt).hex(), salt.hex()) == blob.hex()
    assert page.ask("unseal", blob.hex(), salt.hex()) == bytes(unseal(blob, salt)).hex()


def test_headers(page: Page) -> None:
    for name in ("update.safetensors", "update_stating.safetensors"):
        _, note = decode_tensors((VECTORS / name).read_bytes())
        assert note
        assert page.ask("header", note) == note
        for spoilt in (
            note.replace('"steps":5', '"steps":-5'),
            note.replace('"format":3', '"format":4'),
            note[:-1],
        ):
            assert judged(page, "header", spoilt) == "malformed"


class TestCodecs:
    @ENOUGH
    @given(st.data(), chains(), shapes, seeds)
    def test_decode(
        self, page: Page, data: st.DataObject, stages: Stages, shape: tuple[int, ...], seed: int
    ) -> None:
        elements = st.floats(-1000, 1000, width=32)
        w = data.draw(
            hnp.arrays(np.float32, shape, elements=elements, fill=st.just(np.float32(0.5)))
        )
        sent = dict(encode_arrays(stages, {"w": w}, seed))
        spoil = data.draw(st.booleans())
        if spoil:
            part = data.draw(st.sampled_from(sorted(sent)))
            content = bytearray(sent[part].tobytes())
            content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
            sent[part] = np.frombuffer(bytes(content), sent[part].dtype).reshape(sent[part].shape)
        knobs = json.dumps([stage.model_dump(mode="json") for stage in stages])
        found = judged(page, "codecs", knobs, list(shape), str(seed), encode_model(sent).hex())
        try:
            schema = {"w": Spec(shape, np.dtype(np.float32))}
            decoded = decode_arrays(stages, sent, schema, seed)["w"]
        except BadData:
            assert found == "malformed"
            return
        ours = np.frombuffer(bytes.fromhex(found), np.float32)
        # What is not finite is left out, so which NaN it is does not matter.
        assert np.array_equal(ours, decoded.reshape(-1), equal_nan=True)
        if np.isfinite(decoded).all():
            assert ours.tobytes() == decoded.tobytes()


RULES: list[dict[str, Any]] = [
    {"kind": "weighted_mean"},
    {"kind": "weighted_mean", "weights": "equal"},
    {"kind": "momentum", "beta": "0.7", "rate": "0.3"},
    {"kind": "adagrad", "beta1": "0.1"},
    {"kind": "adam"},
    {"kind": "yogi"},
    {"kind": "fednova"},
    {"kind": "median"},
    {"kind": "trimmed_mean"},
    {"kind": "krum"},
    {"kind": "krum", "keep": 4},
]
MODEL = {
    "net.w": np.float32,
    "net.v": np.float64,
    "net.h": np.float16,
    "net.var": np.float32,
    "ema.w": np.float32,
}


def task_of(combine: dict[str, Any], train: str = "plain") -> Manifest:
    roles = {
        "statistics": ["*.var"],
        "at_least_zero": ["*.var"],
        "averages": [{"name": "ema", "of": "net", "half_life": 7, "unit": "steps"}],
    }
    learner = {
        "kind": "module",
        "code": "0" * 64,
        "entry": "a:B",
        "genesis": "0" * 64,
        "roles": roles,
    }
    rounds = {"count": 2, "min_updates": 5, "cohort_floor": 5}
    strategy = {"combine": combine, "train": train}
    return small_manifest(tuple(CLIENTS), learner=learner, strategy=strategy, rounds=rounds)


def combined(manifest: Manifest, parent: Arrays, updates: list[Update]) -> dict[str, Any]:
    """As `fl_node.round.aggregate` does, from updates that count."""
    state = dict(parent) | _combine(manifest, _model(parent), updates)
    for slot in TRAIN[type(manifest.strategy.train)].slots:
        state |= _advance(manifest, _model(parent), slot, updates)
    if updates:
        state |= never_negative(manifest.roles, model_of(state))
        state |= _averages(manifest, _model(parent), state, [one.header.steps for one in updates])
    return state


def _model(arrays: Arrays) -> Model:
    return Model(bytes(32), arrays)


def numbers(random: np.random.Generator, dtype: Any) -> Any:
    """Finite ones of every size: of any bits, of a moderate size, or zeros of either sign."""
    bits = random.bytes(6 * np.dtype(dtype).itemsize)
    anything = np.nan_to_num(np.frombuffer(bits, dtype), nan=-0.0, posinf=1, neginf=-1)
    usual = random.standard_normal(6).astype(dtype)
    kind = random.integers(0, 4, 6)
    chosen = np.select([kind == 0, kind == 1], [anything, np.array(-0.0, dtype)], usual)
    return chosen.astype(dtype).reshape(2, 3)


class TestCombine:
    @pytest.mark.parametrize("combine", RULES, ids=lambda rule: "-".join(map(str, rule.values())))
    @pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7])
    def test_the_same_bytes(self, page: Page, combine: dict[str, Any], count: int) -> None:
        train = "scaffold" if combine["kind"] in ("weighted_mean", "adam") else "plain"
        manifest = task_of(combine, train)
        weights = ["net.w", "net.v", "net.h"]
        sent = [*weights, "net.var"]
        sent += [f"control.{name}" for name in weights] if train == "scaffold" else []
        for seed in range(4):
            random = np.random.default_rng([count, seed])
            model = {name: numbers(random, dtype) for name, dtype in MODEL.items()}
            state = first_state(model, manifest.strategy.slots, weights)
            for name in state:
                if name.startswith("server."):
                    state[name] = np.abs(numbers(random, np.float32)) / np.float32(2)
            updates = [
                Update(
                    UpdateHeader(
                        task=1,
                        round=1,
                        client=client,
                        parent_digest=bytes(32),
                        num_examples=int(random.choice([1, 3, 1000, 2**53 - 1])),
                        steps=int(random.integers(1, 50)),
                        codec="float32",
                        seed=0,
                    ),
                    {name: numbers(random, np.float32) for name in sent},
                )
                for client in CLIENTS[:count]
            ]
            with np.errstate(all="ignore"):
                expected = encode_model(combined(manifest, state, updates))
            told = [
                {
                    "blob": encode_model(one.arrays).hex(),
                    "examples": str(one.header.num_examples),
                    "steps": str(one.header.steps),
                }
                for one in updates
            ]
            blob = manifest.to_bytes().hex()
            assert page.ask("combine", blob, encode_model(state).hex(), told) == expected.hex()
