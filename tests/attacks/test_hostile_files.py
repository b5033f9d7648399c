"""Blobs that are no updates at all, and things in the store's folder that are no blobs."""

from __future__ import annotations

import io
import os
import pickle
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from doubles import Federation
from hostile import (
    ATTACKER,
    arrays_of,
    audit_of,
    commit_to,
    goes_on,
    header_of,
    last_final,
    reveal_as_attacker,
    send,
    step_honest,
    verdict_on_attacker,
)
from planting import PLANTS

from fl_node.blobs.digest import digest_of
from fl_node.blobs.encoding import encode_update
from fl_node.blobs.model import load_model
from fl_node.blobs.store import key_of, open_store
from fl_node.errors import BlobMissing
from fl_node.history.record import attempts_of_current_round
from fl_node.member.next_action import Action
from fl_node.round.aggregate import aggregate_round


class Trap:
    """Unpickling it creates the file `sprung`."""

    sprung = Path("sprung")

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.sprung),)


def good(federation: Federation) -> bytes:
    return encode_update(header_of(federation), arrays_of(federation))


def torch_like(payload: bytes) -> bytes:
    """A zip of the form that `torch.save` writes, its pickle being `payload`."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", payload)
        archive.writestr("archive/version", "3")
    return file.getvalue()


def zip_bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("weights", bytes(10_000_000))
    return file.getvalue()


def npy_of_objects() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Trap()], dtype=object), allow_pickle=True)
    return file.getvalue()


def with_header(text: bytes) -> bytes:
    return len(text).to_bytes(8, "little") + text


FILES: dict[str, Callable[[Federation], bytes]] = {
    "pickle": lambda federation: pickle.dumps(Trap()),
    "torch_checkpoint": lambda federation: torch_like(pickle.dumps(Trap())),
    "npy_of_objects": lambda federation: npy_of_objects(),
    "python_literal": lambda federation: b"{'w': __import__('os').mkdir('sprung')}",
    "zip_bomb": lambda federation: zip_bomb(),
    "nothing": lambda federation: b"",
    "seven_bytes": lambda federation: b"\0" * 7,
    "truncated": lambda federation: good(federation)[:-1],
    "header_only": lambda federation: good(federation)[:-36],
    "one_byte_more": lambda federation: good(federation) + b"\0",
    "oversized": lambda federation: good(federation) + bytes(1 << 20),
    "header_longer_than_file": lambda federation: (1 << 62).to_bytes(8, "little") + b"{}",
    "header_of_brackets": lambda federation: with_header(b"[" * 300),
    "header_of_no_json": lambda federation: with_header(b"\xff" * 64),
    "header_with_huge_shape": lambda federation: with_header(
        b'{"w":{"dtype":"F32","shape":[' + b"9" * 40 + b'],"data_offsets":[0,4]}}'
    ),
    "header_with_overlap": lambda federation: (
        with_header(
            b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
            b'"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
        )
        + bytes(4)
    ),
    "padded_header": lambda federation: padded(good(federation)),
}


def padded(blob: bytes) -> bytes:
    """The same content in another spelling: eight more blanks after the header."""
    length = int.from_bytes(blob[:8], "little")
    return (length + 8).to_bytes(8, "little") + blob[8 : 8 + length] + b" " * 8 + blob[8 + length :]


@pytest.mark.parametrize("name", FILES)
def test_send(
    federation: Federation,
    undisturbed: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """13. Nothing in it is run or believed; it is left out, and the round goes on without it."""
    monkeypatch.chdir(tmp_path)
    final = send(federation, FILES[name](federation))
    assert not Trap.sprung.exists()
    assert (final.included, final.aggregate_digest) == (0b011, undisturbed)
    assert goes_on(federation)
    report = audit_of(federation)
    assert report.verdict == "clean"
    assert verdict_on_attacker(report).left_out_because
    assert not Trap.sprung.exists()


def test_the_trap_would_have_sprung(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """13. So that the test above means something."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Trap()))
    assert Trap.sprung.exists()


def link_to_a_secret(path: Path) -> None:
    secret = path.parent / "keystore.json"
    secret.write_text("the member's own key")
    path.symlink_to(secret)


@pytest.mark.parametrize("plant", [*PLANTS, link_to_a_secret])
@pytest.mark.timeout(60)
def test_plant_in_the_stores_folder(
    federation: Federation, undisturbed: bytes, plant: Callable[[Path], None]
) -> None:
    """13. Something else under the promised name keeps nobody waiting, and is the sender's own loss."""
    digest = bytes([7]) * 32
    opening = commit_to(federation, digest)
    step_honest(federation, Action.COMMIT)
    path = federation.folder / "store" / key_of(digest)
    path.parent.mkdir()
    plant(path)
    reveal_as_attacker(federation, opening)
    step_honest(federation, Action.REVEAL)
    step_honest(federation, Action.ATTEST)
    final = last_final(federation)
    assert (final.included, final.aggregate_digest) == (0b011, undisturbed)
    assert goes_on(federation)
    report = audit_of(federation)
    assert report.verdict == "clean"
    assert "own key" not in str(verdict_on_attacker(report).left_out_because)


def test_forbid_reading_a_blob(federation: Federation) -> None:
    """3. A blob that its sender alone may read is as good as none; it is not taken for a store that is away."""
    opening = commit_to(federation, digest_of(good(federation)))
    federation.store.put(good(federation))
    step_honest(federation, Action.COMMIT)
    reveal_as_attacker(federation, opening)
    step_honest(federation, Action.REVEAL)
    state = federation.ledger.task_state(federation.task)
    reveals = attempts_of_current_round(federation.ledger.history(federation.task)).reveals
    with web_store(federation.folder / "store", forbidden=opening.update_digest) as url:
        store = open_store(url)
        parent = load_model(store, state.parent_digest, 1 << 20)
        aggregated = aggregate_round(store, federation.manifest, parent, reveals)
    assert aggregated.included == 0b011
    assert isinstance(aggregated.left_out[ATTACKER], BlobMissing)


@contextmanager
def web_store(folder: Path, forbidden: bytes) -> Iterator[str]:
    """The store's folder behind a web server that forbids one blob."""

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith(forbidden.hex()):
                self.send_error(403)
            else:
                super().do_GET()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
