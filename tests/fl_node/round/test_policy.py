"""A node's own policy: what it lets out, whatever a manifest says."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from doubles import DriftingLearner, small_genesis, small_manifest
from hypothesis import given
from hypothesis import strategies as st

from fl_node.arrays import prefixed
from fl_node.blobs.encoding import decode_update
from fl_node.blobs.global_state import first_state
from fl_node.errors import Misuse, PolicyForbids
from fl_node.manifest.manifest import Manifest
from fl_node.round.contribute import Received, UpdateId, contribute
from fl_node.round.policy import OPEN, Policy, read_policy
from fl_node.round.validity import norm

CODE, MANIFEST = "12" * 32, "34" * 32


def written(folder: Path, text: str) -> Path:
    path = folder / "policy.toml"
    path.write_text(text)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(Misuse) as refused:
        read_policy(path)
    return str(refused.value)


class TestReading:
    def test_every_line_may_be_there(self, tmp_path):
        text = f"""
            allow_code = ["{CODE}"]
            allow_manifests = ["{MANIFEST}"]
            most_examples = 5000
            most_bytes = 100_000_000
            clip_norm = 1.5
        """
        assert read_policy(written(tmp_path, text)) == Policy(
            allowed_code=frozenset({bytes.fromhex(CODE)}),
            allowed_manifests=frozenset({bytes.fromhex(MANIFEST)}),
            most_examples=5000,
            most_bytes=100_000_000,
            clip=Decimal("1.5"),
        )

    def test_every_line_may_be_left_out(self, tmp_path):
        assert read_policy(written(tmp_path, "# nothing yet")) == OPEN

    def test_an_empty_list_of_manifests_allows_none(self, tmp_path):
        policy = read_policy(written(tmp_path, "allow_manifests = []"))
        with pytest.raises(Misuse, match=f"does not allow the manifest {MANIFEST}: read it"):
            policy.verify_manifest(bytes.fromhex(MANIFEST))
        OPEN.verify_manifest(bytes.fromhex(MANIFEST))

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("clip = 1", "clip: unknown field; known are allow_code"),
            ("clip_norm = 0", "clip_norm: Input should be greater than 0"),
            ("clip_norm = nan", "clip_norm"),
            ("clip_norm = 1e999", "clip_norm"),
            ("clip_norm = true", "clip_norm"),
            ("most_examples = 0", "most_examples"),
            ("most_bytes = -1", "most_bytes"),
            (f"most_bytes = {10**30}", "most_bytes"),
            (f"most_bytes = {'9' * 200}", "most_bytes: a number of more than 78 digits"),
            (f'allow_code = "{CODE}"', "allow_code"),
            ('allow_code = ["12ab"]', "allow_code.0"),
            (f'allow_code = ["{CODE.upper()[:-1]}G"]', "allow_code.0"),
            ("allow_code = [" + "'', " * 2001 + "]", "more than 2000"),
            ("clip_norm", "policy.toml"),
            ('"\\u001b[2J" = 1', r"\x1b[2J: unknown field"),
        ],
    )
    def test_a_wrong_line_is_named_in_one_line(self, tmp_path, text, why):
        said = refusal(written(tmp_path, text))
        assert why in said
        assert said.isprintable()

    def test_only_a_regular_file_of_bounded_size_is_read(self, tmp_path):
        assert "nowhere.toml" in refusal(tmp_path / "nowhere.toml")
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        assert "not a regular file" in refusal(pipe)
        assert "policy" in refusal(written(tmp_path, "#" * (1 << 17)))
        binary = tmp_path / "binary"
        binary.write_bytes(b"\xff\xfe")
        assert "not UTF-8" in refusal(binary)


class TestClipping:
    @given(
        st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=40),
        st.decimals("0.000001", 1000, places=6),
    )
    def test_a_difference_is_never_longer_than_its_limit_and_keeps_its_direction(
        self, values, limit
    ):
        arrays = {"b": np.array(values[:1], np.float32), "a": np.array(values, np.float32)}
        clipped = Policy(clip=limit).clipped(arrays)
        assert norm(clipped) <= limit
        factor = min(1.0, float(limit) / norm(arrays)) if norm(arrays) else 1.0
        for name, array in arrays.items():
            expected = array.astype(np.float64) * factor
            assert clipped[name].dtype == np.float32
            assert clipped[name] == pytest.approx(expected, rel=1e-6, abs=1e-37)

    def test_a_difference_within_its_limit_stays_as_it_is(self):
        arrays = {"w": np.array([3, 4], np.float32)}
        for policy in (OPEN, Policy(clip=Decimal(5))):
            assert policy.clipped(arrays)["w"] is arrays["w"]


def sent(manifest: Manifest, policy: Policy):
    state = first_state(
        small_genesis(), manifest.strategy.slots, manifest.roles.only("weight", small_genesis())
    )
    place = UpdateId(1, 1, manifest.addresses[0], bytes(32))
    made = contribute(manifest, place, DriftingLearner(4), Received(state), None, policy=policy)
    return made, decode_update(made.blob).arrays


class TestLeaving:
    def test_weights_and_statistics_are_clipped_together(self):
        manifest = small_manifest()
        _, whole = sent(manifest, OPEN)
        _, clipped = sent(manifest, Policy(clip=Decimal("0.5")))
        assert norm(whole) > 1
        assert norm(clipped) == pytest.approx(0.5, rel=1e-6)
        for name, array in whole.items():
            assert clipped[name] == pytest.approx(array * 0.5 / norm(whole), rel=1e-5)

    def test_what_scaffold_sends_beside_is_clipped_with_it_and_its_variate_moves_by_that(self):
        made, clipped = sent(
            small_manifest(strategy={"train": "scaffold"}), Policy(clip=Decimal(1))
        )
        assert norm(clipped) == pytest.approx(1, rel=1e-6)
        kept = {name.removeprefix("training.control."): one for name, one in made.private.items()}
        for name, array in clipped.items():
            if name.startswith("control."):
                assert kept[name.removeprefix("control.")].tolist() == array.tolist()

    def test_codecs_come_after_it(self):
        manifest = small_manifest(strategy={"encode": "quantise"})
        _, coded = sent(manifest, Policy(clip=Decimal("0.001")))
        assert all(
            np.all(np.abs(array) < 0.001) for name, array in coded.items() if "quantise" in name
        )

    @pytest.mark.parametrize(
        ("policy", "reason"),
        [
            (Policy(most_examples=39), r"^the update states 40 examples; .* allows 39$"),
            (Policy(most_bytes=400), r"^the update has \d+ bytes; .* allows 400$"),
        ],
    )
    def test_more_than_is_allowed_does_not_leave(self, policy, reason):
        with pytest.raises(PolicyForbids, match=reason):
            sent(small_manifest(), policy)

    def test_exactly_as_much_as_is_allowed_leaves(self):
        made, arrays = sent(small_manifest(), OPEN)
        tight = Policy(most_examples=40, most_bytes=len(made.blob), clip=Decimal(norm(arrays)))
        assert sent(small_manifest(), tight)[0].blob == made.blob


def test_the_norm_that_is_clipped_has_no_names_in_common():
    """What is sent beside the difference has a prefix, so the three parts can be told apart again."""
    weights = small_genesis()
    assert not prefixed("control.", weights).keys() & weights.keys()
