"""The node's folder: a round is there whole or not at all, one node holds it, and damage is said, not trained on."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from planting import (
    PLANTS,
    link_to_endless_zeros,
    link_to_itself,
    mutations,
    pipe,
    plant_at,
    terabyte,
)
from planting import folder as folder_plant

import fl_node.member.state
from chain.types import Address
from fl_node.blobs.digest import digest_of
from fl_node.errors import StateUnusable
from fl_node.member.state import KEPT_ROUNDS, Membership, NodeState
from fl_node.round.contribute import Contribution

MEMBERSHIP = Membership(31337, Address("0x" + "c0" * 20), 4, Address("0x" + "11" * 20))
PARENT, OTHER_PARENT = bytes([1]) * 32, bytes([2]) * 32


def contribution(number: int = 1) -> Contribution:
    return Contribution(
        blob=b"the update of round %d" % number,
        num_examples=30,
        training_loss=-5,
        held_out_loss=7,
        private={"rounds": np.array([number])},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "not" / "there yet"


@pytest.fixture
def state(folder: Path) -> Iterator[NodeState]:
    with NodeState(folder, MEMBERSHIP) as opened:
        yield opened


def reopened(state: NodeState, folder: Path) -> NodeState:
    """The folder as the next start of the node finds it."""
    state.close()
    return NodeState(folder, MEMBERSHIP)


class TestRound:
    def test_is_planned_once_and_found_again_after_a_restart(self, state, folder):
        kept = state.keep(3, PARENT, contribution(3))
        with reopened(state, folder) as again:
            plan = again.plan(3, PARENT)
            assert plan == kept
            assert again.update(3, plan.opening.update_digest) == contribution(3).blob
            assert again.private(4)["rounds"].tolist() == [3]

    def test_opens_to_what_was_trained(self, state):
        opening = state.keep(3, PARENT, contribution()).opening
        assert opening.update_digest == digest_of(contribution().blob)
        assert (opening.num_examples, opening.training_loss, opening.held_out_loss) == (30, -5, 7)

    def test_has_a_salt_of_its_own(self, state):
        salts = {state.keep(number, PARENT, contribution()).opening.salt for number in range(1, 9)}
        assert len(salts) == 8 and {len(salt) for salt in salts} == {32}

    def test_that_was_never_planned_has_no_plan_and_no_private_arrays(self, state):
        assert state.plan(1, PARENT) is None
        assert state.private(1) is None

    def test_that_starts_from_another_parent_is_planned_anew(self, state):
        state.keep(3, PARENT, contribution(3))
        assert state.plan(3, OTHER_PARENT) is None
        state.keep(3, OTHER_PARENT, contribution(33))
        plan = state.plan(3, OTHER_PARENT)
        assert (
            plan is not None
            and state.update(3, plan.opening.update_digest) == contribution(33).blob
        )
        assert state.plan(3, PARENT) is None

    def test_gets_the_private_arrays_of_an_earlier_round_never_its_own(self, state):
        state.keep(2, PARENT, contribution(2))
        state.keep(5, PARENT, contribution(5))
        assert state.private(5)["rounds"].tolist() == [2]
        assert state.private(9)["rounds"].tolist() == [5]
        assert state.private(2) is None

    def test_long_past_is_forgotten(self, state, folder):
        for number in (1, 2, 4, 7):
            state.keep(number, PARENT, contribution(number))
        assert KEPT_ROUNDS == 2
        assert sorted(path.name for path in folder.glob("round-*")) == [
            "round-00004",
            "round-00007",
        ]


class TestCrash:
    @pytest.mark.parametrize("files", [0, 1, 2, 3])
    def test_while_a_round_is_written_leaves_no_round(self, state, folder, monkeypatch, files):
        """The process ends after so many files, or before the rename."""
        state.keep(1, PARENT, contribution(1))
        left = iter(range(files))

        write = fl_node.member.state.write_whole

        def die(*_: object) -> None:
            raise KeyboardInterrupt

        def write_some(path: Path, *pieces: bytes | memoryview, mode: int) -> None:
            if next(left, None) is None:
                die()
            write(path, *pieces, mode=mode)

        monkeypatch.setattr("fl_node.member.state.write_whole", write_some)
        monkeypatch.setattr(Path, "rename", die)
        with pytest.raises(KeyboardInterrupt):
            state.keep(2, PARENT, contribution(2))
        monkeypatch.undo()
        with reopened(state, folder) as again:
            assert again.plan(2, PARENT) is None
            assert again.private(3)["rounds"].tolist() == [1]
            assert not list(folder.glob("writing-*"))
            assert again.keep(2, PARENT, contribution(2)) == again.plan(2, PARENT)


class TestFolder:
    def test_is_its_owners_alone_and_so_is_everything_in_it(self, tmp_path):
        """Whatever the process's umask lets others do, and whoever made the folder."""
        folder = tmp_path / "state"
        folder.mkdir(mode=0o777)
        umask = os.umask(0)
        try:
            with NodeState(folder, MEMBERSHIP) as state:
                state.keep(3, PARENT, contribution())
        finally:
            os.umask(umask)
        modes = {
            path.relative_to(tmp_path).as_posix(): stat.S_IMODE(path.stat().st_mode)
            for path in (folder, *folder.rglob("*"))
        }
        assert modes == {
            "state": 0o700,
            "state/lock": 0o600,
            "state/membership.json": 0o600,
            "state/round-00003": 0o700,
            "state/round-00003/plan.json": 0o600,
            "state/round-00003/private.safetensors": 0o600,
            "state/round-00003/update.blob": 0o600,
        }

    def test_is_held_by_one_node_at_a_time(self, state, folder):
        with pytest.raises(StateUnusable, match="in use by another node"):
            NodeState(folder, MEMBERSHIP)
        state.close()
        NodeState(folder, MEMBERSHIP).close()

    @pytest.mark.parametrize(
        "change",
        [
            {"chain_id": 1},
            {"contract": Address("0x" + "c1" * 20)},
            {"task": 5},
            {"client": Address("0x" + "22" * 20)},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_of_another_membership_is_refused_and_let_go(self, state, folder, change):
        state.close()
        with pytest.raises(StateUnusable, match="belongs to another member or task"):
            NodeState(folder, replace(MEMBERSHIP, **change))
        NodeState(folder, MEMBERSHIP).close()

    def test_that_is_a_file_is_refused(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(StateUnusable, match="file"):
            NodeState(tmp_path / "file", MEMBERSHIP)

    def test_may_hold_what_somebody_put_beside_the_rounds(self, state, folder):
        (folder / "round-old").mkdir()
        state.keep(1, PARENT, contribution())
        assert state.private(2) is not None
        assert (folder / "round-old").exists()


class TestDamage:
    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b"[]", b"null", b"{}", b"\xff", b'{"parent_digest": "no hex"}'],
    )
    def test_of_a_plan_is_said(self, state, folder, content):
        state.keep(3, PARENT, contribution())
        (folder / "round-00003" / "plan.json").write_bytes(content)
        with pytest.raises(StateUnusable, match="state folder"):
            state.plan(3, PARENT)

    def test_of_a_plans_number_is_said(self, state, folder):
        state.keep(3, PARENT, contribution())
        path = folder / "round-00003" / "plan.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "num_examples": "many"}))
        with pytest.raises(StateUnusable, match="many"):
            state.plan(3, PARENT)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("round", 0),
            ("round", True),
            ("num_examples", 0),
            ("num_examples", 1 << 64),
            ("training_loss", 1 << 63),
            ("held_out_loss", -(1 << 63) - 1),
            ("held_out_loss", "1"),
            ("salt", "ab" * 31),
            ("sealed", 1),
            ("update_digest", "AB" * 32),
            ("parent_digest", "\x1b[2J"),
        ],
    )
    def test_of_a_plans_field_is_said(self, state, folder, field, value):
        state.keep(3, PARENT, contribution())
        path = folder / "round-00003" / "plan.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))
        with pytest.raises(StateUnusable, match="expected") as caught:
            state.plan(3, PARENT)
        assert str(caught.value).isprintable()

    @pytest.mark.parametrize("name", ["plan.json", "update.blob", "private.safetensors"])
    @pytest.mark.parametrize("plant", PLANTS)
    @pytest.mark.timeout(60)
    def test_by_what_is_no_file_is_said_at_once(self, state, folder, plant, name):
        plan = state.keep(3, PARENT, contribution())
        plant_at(folder / "round-00003" / name, plant)
        with pytest.raises(StateUnusable, match=name):
            state.plan(3, PARENT)
            state.update(3, plan.opening.update_digest)
            state.private(4)

    @pytest.mark.parametrize("name", ["membership.json", "lock"])
    @pytest.mark.parametrize(
        "plant", [folder_plant, link_to_itself, link_to_endless_zeros, pipe, terabyte]
    )
    @pytest.mark.timeout(60)
    def test_by_what_is_no_file_keeps_no_node_waiting(self, state, folder, plant, name):
        state.close()
        plant_at(folder / name, plant)
        if name == "lock" and plant in (pipe, terabyte):
            NodeState(folder, MEMBERSHIP).close()  # Both can be locked, and nothing is read.
            return
        with pytest.raises(StateUnusable, match=str(folder)):
            NodeState(folder, MEMBERSHIP)

    def test_of_any_kind_is_said_or_harmless(self, state, folder):
        plan = state.keep(3, PARENT, contribution())
        files = {path: path.read_bytes() for path in (folder / "round-00003").iterdir()}
        for path, content in files.items():
            for altered in mutations(content, seed=5, count=150):
                path.write_bytes(altered)
                try:
                    state.plan(3, PARENT)
                    state.update(3, plan.opening.update_digest)
                    state.private(4)
                except StateUnusable as trouble:
                    assert str(trouble).isprintable()
            path.write_bytes(content)

    def test_of_an_update_is_said(self, state, folder):
        plan = state.keep(3, PARENT, contribution())
        (folder / "round-00003" / "update.blob").write_bytes(b"another")
        with pytest.raises(StateUnusable, match="the update of round 3 is damaged"):
            state.update(plan.round, plan.opening.update_digest)

    @pytest.mark.parametrize("name", ["plan.json", "update.blob", "private.safetensors"])
    def test_by_loss_of_a_file_is_said(self, state, folder, name):
        plan = state.keep(3, PARENT, contribution())
        (folder / "round-00003" / name).unlink()
        with pytest.raises(StateUnusable, match=f"{name}: No such file"):
            state.plan(3, PARENT)
            state.update(plan.round, plan.opening.update_digest)
            state.private(4)

    def test_of_private_arrays_is_said(self, state, folder):
        state.keep(3, PARENT, contribution())
        (folder / "round-00003" / "private.safetensors").write_bytes(b"\x80\x04K\x01.")
        with pytest.raises(StateUnusable, match="header"):
            state.private(4)


def test_a_declined_round_is_kept_with_what_was_learnt_and_without_an_update(state, folder):
    kept = state.keep(3, PARENT, replace(contribution(3), blob=None))
    assert kept.opening is None
    with reopened(state, folder) as again:
        assert again.plan(3, PARENT) == kept
        assert again.private(4)["rounds"].tolist() == [3]
        assert not (folder / "round-00003" / "update.blob").exists()
