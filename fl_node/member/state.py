"""The node's own folder: what must survive a crash, and nothing else.

    membership.json        whose folder this is; checked at every start
    lock                   held by the running node
    round-00003/           complete or absent: written beside, then renamed into place
        plan.json            what was committed to: the opening of the commitment, if the round was not declined
        update.safetensors   the update, published at reveal
        private.safetensors  what the learner needs for its next round

A round is planned once. A node that is killed before the rename trains again from the same inputs and gets the same
bytes; one that is killed after it finds the plan and sends exactly what it had planned, salt included.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from chain.types import Address, Reveal
from fl_node.arrays import Arrays
from fl_node.blobs.canonical import canonical_json
from fl_node.blobs.digest import Blob, digest_of
from fl_node.blobs.model import decode_model
from fl_node.blobs.tensors import pieces_of
from fl_node.errors import BadData, StateUnusable
from fl_node.round.contribute import Contribution

KEPT_ROUNDS = 2
"""The planned round, and the one before it in case the chain forgets a block and the round is planned again."""


@dataclass(frozen=True, slots=True)
class Membership:
    """Whose folder this is."""

    chain_id: int
    contract: Address
    task: int
    client: Address


@dataclass(frozen=True, slots=True)
class Plan:
    """What a node does in a round: reveal this opening; or, where it is None, decline."""

    round: int
    parent_digest: bytes
    opening: Reveal | None


class NodeState:
    """The folder of one member in one task, held exclusively while open. See the module's picture.

    Raises:
        StateUnusable: The folder belongs to another membership, is in use, damaged, or cannot be written.
    """

    def __init__(self, folder: Path, membership: Membership) -> None:
        self._folder = folder
        with _reported(folder):
            # For its owner alone: unshared weights, and until the reveal the update and its salt, are nobody else's.
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _lock(folder)
            try:
                self._claim(membership)
                for unfinished in folder.glob("writing-*"):
                    shutil.rmtree(unfinished)
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> NodeState:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let another process have the folder."""
        self._lock.close()

    def plan(self, round: int, parent_digest: bytes) -> Plan | None:
        """What was planned for a round that starts from this parent; None if nothing was."""
        path = self._round(round) / "plan.json"
        if not path.exists():
            return None
        with _reported(self._folder):
            plan = _plan_from_json(json.loads(path.read_bytes()))
        return plan if plan.parent_digest == parent_digest else None

    def update(self, round: int, digest: bytes) -> bytes:
        """The planned update's blob."""
        with _reported(self._folder):
            blob = (self._round(round) / "update.safetensors").read_bytes()
        if digest_of(blob) != digest:
            raise StateUnusable(f"{self._folder}: the update of round {round} is damaged")
        return blob

    def private(self, round: int) -> Arrays | None:
        """What the learner kept from the last round before this one in which it trained; None if there is none."""
        earlier = [number for number in self._rounds() if number < round]
        if not earlier:
            return None
        with _reported(self._folder):
            return decode_model((self._round(max(earlier)) / "private.safetensors").read_bytes())

    def keep(self, round: int, parent_digest: bytes, contribution: Contribution) -> Plan:
        """Write a round's plan, update and private arrays, all or nothing, and forget rounds long past."""
        plan = Plan(round, parent_digest, _opening(contribution))
        files: dict[str, list[Blob]] = {
            "plan.json": [canonical_json(_plan_to_json(plan))],
            "private.safetensors": pieces_of(contribution.private),
        }
        if contribution.blob is not None:
            files["update.safetensors"] = [contribution.blob]
        with _reported(self._folder):
            self._write(round, files)
            for old in self._rounds()[:-KEPT_ROUNDS]:
                shutil.rmtree(self._round(old))
        return plan

    def _write(self, round: int, files: dict[str, list[Blob]]) -> None:
        writing = self._folder / f"writing-{round:05}"
        writing.mkdir()
        for name, pieces in files.items():
            _write_file(writing / name, pieces)
        _sync_folder(writing)
        if self._round(round).exists():
            shutil.rmtree(self._round(round))
        writing.rename(self._round(round))
        _sync_folder(self._folder)

    def _round(self, round: int) -> Path:
        return self._folder / f"round-{round:05}"

    def _rounds(self) -> list[int]:
        complete = self._folder.glob("round-" + 5 * "[0-9]")
        return sorted(int(path.name.removeprefix("round-")) for path in complete)

    def _claim(self, membership: Membership) -> None:
        path = self._folder / "membership.json"
        ours = canonical_json(
            {
                "chain_id": membership.chain_id,
                "client": membership.client,
                "contract": membership.contract,
                "task": membership.task,
            }
        )
        if not path.exists():
            _write_file(path.with_suffix(".writing"), [ours])
            path.with_suffix(".writing").rename(path)
        elif path.read_bytes() != ours:
            raise StateUnusable(
                f"{self._folder} belongs to another member or task: expected {ours.decode()}, "
                f"found {path.read_text(errors='replace')}; give this node a --state of its own"
            )


def _lock(folder: Path) -> IO[str]:
    file = (folder / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise StateUnusable(f"{folder} is in use by another node") from None
    return file


def _write_file(path: Path, pieces: list[Blob]) -> None:
    with path.open("wb") as file:
        file.writelines(pieces)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _reported(folder: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, BadData) as error:
        raise StateUnusable(f"state folder {folder}: {error}") from error


def _opening(contribution: Contribution) -> Reveal | None:
    if contribution.blob is None:
        return None
    return Reveal(
        update_digest=digest_of(contribution.blob),
        num_examples=contribution.num_examples,
        training_loss=contribution.training_loss,
        held_out_loss=contribution.held_out_loss,
        salt=secrets.token_bytes(32),
    )


def _plan_to_json(plan: Plan) -> dict[str, object]:
    opening = plan.opening
    if opening is None:
        return {"parent_digest": plan.parent_digest.hex(), "round": plan.round}
    return {
        "held_out_loss": opening.held_out_loss,
        "num_examples": opening.num_examples,
        "parent_digest": plan.parent_digest.hex(),
        "round": plan.round,
        "salt": opening.salt.hex(),
        "training_loss": opening.training_loss,
        "update_digest": opening.update_digest.hex(),
    }


def _plan_from_json(values: dict[str, object]) -> Plan:
    round, parent_digest = int(str(values["round"])), bytes.fromhex(str(values["parent_digest"]))
    if "update_digest" not in values:
        return Plan(round, parent_digest, None)
    opening = Reveal(
        update_digest=bytes.fromhex(str(values["update_digest"])),
        num_examples=int(str(values["num_examples"])),
        training_loss=int(str(values["training_loss"])),
        held_out_loss=int(str(values["held_out_loss"])),
        salt=bytes.fromhex(str(values["salt"])),
    )
    return Plan(round, parent_digest, opening)
