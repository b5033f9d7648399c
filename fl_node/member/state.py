"""The node's state folder: holds what must survive a crash, and nothing else.

    membership.json        the member and task that it belongs to; checked at every start
    lock                   held by the running node
    log.sqlite             the task's log as far as the node has read it; it may be deleted
    round-00003/           complete or absent: written under another name, then renamed
        plan.json            the opening of the commitment, unless the round was declined
        update.blob          the update as it goes into the store, sealed or plain
        private.safetensors  what the learner needs for its next round
    models/                what the node made of the last round's updates, and the model that the round started from
        12ab....safetensors  named by its digest; may be missing, since whatever it holds can be had again

A round is planned once. A node that is killed before the rename trains again from the same inputs and gets the same
bytes. A node that is killed after the rename finds the plan and sends exactly what it had planned, salt included.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from chain.errors import FileUnusable
from chain.files import map_file, read_file, read_text, write_whole
from chain.text import shown
from chain.types import Address, Reveal
from fl_node.arrays import Arrays
from fl_node.blobs.canonical import canonical_json, parse_json
from fl_node.blobs.digest import Blob, digest_of
from fl_node.blobs.model import decode_model
from fl_node.blobs.sealed import seal
from fl_node.blobs.tensors import pieces_of
from fl_node.errors import BadData, StateUnusable
from fl_node.round.contribute import Contribution

KEPT_ROUNDS = 2
"""The planned round and the one before it: a reorganised chain may have the round planned again."""

MAX_JSON_BYTES = 1 << 16
"""The largest membership.json or plan.json."""

MAX_TENSOR_BYTES = 1 << 35
"""The largest update or private file: the size of several models."""

_FOLDER_MODE, _FILE_MODE = 0o700, 0o600


@dataclass(frozen=True, slots=True)
class Membership:
    """The member and task that a state folder belongs to."""

    chain_id: int
    contract: Address
    task: int
    client: Address


@dataclass(frozen=True, slots=True)
class Plan:
    """What a node does in a round: reveal this opening, or decline if it is None. `sealed` says how its update lies."""

    round: int
    parent_digest: bytes
    opening: Reveal | None
    sealed: bool = False


class NodeState:
    """The state folder of one member in one task, locked while open. The module's docstring shows its files.

    Raises:
        StateUnusable: The folder belongs to another member or task, is in use, is damaged, or cannot be written.
    """

    def __init__(self, folder: Path, membership: Membership) -> None:
        self._folder = folder
        with _reported(folder):
            # Only the owner may read it: private weights, and until the reveal the update and its salt, are secret.
            folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            folder.chmod(_FOLDER_MODE)  # It may have existed with other permissions.
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
        """Release the lock on the folder."""
        self._lock.close()

    @property
    def log_file(self) -> Path:
        """Where the node keeps the task's log."""
        return self._folder / "log.sqlite"

    def plan(self, round: int, parent_digest: bytes) -> Plan | None:
        """The plan of a round that starts from this parent; None if there is none."""
        if not self._round(round).exists():
            return None
        with _reported(self._folder):
            plan = self._plan(round)
        return plan if plan.parent_digest == parent_digest else None

    def update(self, round: int, digest: bytes) -> memoryview:
        """The blob of the planned update as it goes into the store, mapped into memory."""
        with _reported(self._folder):
            blob = map_file(self._round(round) / "update.blob", MAX_TENSOR_BYTES)
        if digest_of(blob) != digest:
            raise StateUnusable(f"{self._folder}: the update of round {round} is damaged")
        return blob

    def private(self, round: int) -> Arrays | None:
        """The private arrays of the last earlier round in which the learner trained; None if there are none."""
        earlier = [number for number in self._rounds() if number < round]
        if not earlier:
            return None
        with _reported(self._folder):
            path = self._round(max(earlier)) / "private.safetensors"
            return decode_model(map_file(path, MAX_TENSOR_BYTES))

    def keep(
        self, round: int, parent_digest: bytes, contribution: Contribution, sealed: bool = False
    ) -> Plan:
        """Write a round's plan, update and private arrays as a whole, and delete older rounds.

        Args:
            round: The round that the member trained in.
            parent_digest: Digest of the model that it started from.
            contribution: What the training gave.
            sealed: Whether the update goes into the store sealed, with the salt of its commitment.
        """
        salt, blob = secrets.token_bytes(32), contribution.blob
        if blob is not None and sealed:
            blob = seal(blob, salt)
        opening = None if blob is None else _opening(contribution, digest_of(blob), salt)
        plan = Plan(round, parent_digest, opening, sealed=sealed and opening is not None)
        files: dict[str, list[Blob]] = {
            "plan.json": [canonical_json(_plan_to_json(plan))],
            "private.safetensors": pieces_of(contribution.private),
        }
        if blob is not None:
            files["update.blob"] = [blob]
        with _reported(self._folder):
            self._write(round, files)
            for old in self._rounds()[:-KEPT_ROUNDS]:
                shutil.rmtree(self._round(old))
        return plan

    def keep_model(self, digest: bytes, blob: Blob, parent_digest: bytes) -> None:
        """Write what the node made of a round, and delete all models but this one and its parent.

        Raises:
            StateUnusable: The disk is full, say. The node can do without.
        """
        kept = {_model_name(digest), _model_name(parent_digest)}
        with _reported(self._folder):
            models = self._folder / "models"
            models.mkdir(mode=_FOLDER_MODE, exist_ok=True)
            write_whole(models / _model_name(digest), blob, mode=_FILE_MODE)
            for old in models.iterdir():
                if old.name not in kept:
                    old.unlink()

    def blob(self, digest: bytes) -> memoryview | None:
        """An own update or a model that the folder has, mapped into memory; None if it has none with this digest."""
        model = self._folder / "models" / _model_name(digest)
        with contextlib.suppress(OSError, FileUnusable):
            blob = map_file(model, MAX_TENSOR_BYTES)
            return blob if digest_of(blob) == digest else None
        for round in self._rounds():
            with _reported(self._folder):
                plan = self._plan(round)
            if plan.opening is not None and plan.opening.update_digest == digest:
                return self.update(round, digest)
        return None

    def _plan(self, round: int) -> Plan:
        path = self._round(round) / "plan.json"
        return _plan_from_json(parse_json(read_text(path, MAX_JSON_BYTES)))

    def _write(self, round: int, files: dict[str, list[Blob]]) -> None:
        writing = self._folder / f"writing-{round:05}"
        writing.mkdir(mode=_FOLDER_MODE)
        for name, pieces in files.items():
            write_whole(writing / name, *pieces, mode=_FILE_MODE)
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
        if not os.path.lexists(path):
            write_whole(path, ours, mode=_FILE_MODE)
        elif (found := read_file(path, MAX_JSON_BYTES)) != ours:
            raise StateUnusable(
                f"{self._folder} belongs to another member or task: expected {ours.decode()}, "
                f"found {shown(found.decode(errors='replace'))}; give this node its own --state"
            )


def _lock(folder: Path) -> IO[bytes]:
    flags = (
        os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
    )  # Opening a pipe for reading and writing does not block.
    file = os.fdopen(os.open(folder / "lock", flags, _FILE_MODE), "rb", buffering=0)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise StateUnusable(f"{folder} is in use by another node") from None
    return file


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
    except (OSError, ValueError, KeyError, TypeError, BadData, FileUnusable) as error:
        raise StateUnusable(f"state folder {folder}: {shown(error)}") from error


def _opening(contribution: Contribution, update_digest: bytes, salt: bytes) -> Reveal:
    return Reveal(
        update_digest=update_digest,
        num_examples=contribution.num_examples,
        training_loss=contribution.training_loss,
        held_out_loss=contribution.held_out_loss,
        salt=salt,
    )


def _model_name(digest: bytes) -> str:
    return f"{digest.hex()}.safetensors"


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
        "sealed": plan.sealed,
        "training_loss": opening.training_loss,
        "update_digest": opening.update_digest.hex(),
    }


def _plan_from_json(values: dict[str, object]) -> Plan:
    round, parent_digest = _number(values["round"], 1, 1 << 16), _digest(values["parent_digest"])
    if "update_digest" not in values:
        return Plan(round, parent_digest, None)
    opening = Reveal(
        update_digest=_digest(values["update_digest"]),
        num_examples=_number(values["num_examples"], 1, 1 << 64),
        training_loss=_number(values["training_loss"], -(1 << 63), 1 << 63),
        held_out_loss=_number(values["held_out_loss"], -(1 << 63), 1 << 63),
        salt=_digest(values["salt"]),
    )
    return Plan(round, parent_digest, opening, _flag(values["sealed"]))


def _number(value: object, least: int, above: int) -> int:
    if type(value) is not int or not least <= value < above:
        raise ValueError(f"expected a whole number from {least} to {above - 1}, got {value!r}")
    return value


def _flag(value: object) -> bool:
    if type(value) is not bool:
        raise ValueError(f"expected true or false, got {value!r}")
    return value


def _digest(value: object) -> bytes:
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise ValueError(f"expected 64 hex digits, got {value!r}")
    return bytes.fromhex(value)
