"""`--log-to`: a node's rounds as curves and pictures, read back from TensorBoard's own files."""

from __future__ import annotations

import io
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from doubles import STATING, StatingLearner, federation_in, small_manifest, state_at
from PIL import Image
from tensorboardX.proto import event_pb2

from chain.memory_ledger import MemoryLedger
from chain.types import Phase, Receipt
from fl_node.cli.node.display import Said, Untracked, to_all
from fl_node.cli.service.watch import Watch
from fl_node.cli.tracking.beside import MOST_WAITING, Beside
from fl_node.cli.tracking.drawing import drawing
from fl_node.cli.tracking.opening import tracking_to
from fl_node.cli.tracking.places import open_tracker
from fl_node.cli.tracking.rounds import Tracking
from fl_node.cli.tracking.trackers import Picture
from fl_node.errors import Misuse
from fl_node.learning.task import derive_genesis
from fl_node.manifest.manifest import Manifest
from fl_node.member.next_action import Action
from fl_node.member.participant import Participant, Step
from fl_node.member.state import Membership, NodeState


class Notebook:
    """A tracker that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[int, dict[str, float]]] = []
        self.pictures: list[tuple[int, str]] = []
        self.closed = False

    def numbers(self, round: int, values: Mapping[str, float]) -> None:
        self.told.append((round, dict(values)))

    def picture(self, round: int, name: str, pixels: Picture) -> None:
        self.pictures.append((round, name))

    def close(self) -> None:
        self.closed = True


class Failing(Notebook):
    """A tracker whose server is gone."""

    tries = 0

    def numbers(self, round: int, values: Mapping[str, float]) -> None:
        self.tries += 1
        raise ConnectionError("no answer from https://me:secret-word@host/run?token=abcdef")


class Hand:
    """A clock that somebody turns."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def step(round: int, action: Action, gas: int | None = None, phase: Phase = Phase.COMMIT) -> Step:
    receipt = None if gas is None else Receipt(b"t" * 32, 7, gas, ())
    return Step(action, replace(state_at(phase), round=round), receipt)


def told_of(tracker: Notebook, steps: list[tuple[int, Step]]) -> list[Said]:
    """Tell a tracker of steps, each so many seconds after the one before; returns what the node says of it."""
    clock, said = Hand(), list[Said]()
    watch = Watch(clock)
    with Tracking(
        tracker,
        "runs",
        watch,
        numbers_of=lambda round, _: {"loss/training": round / 2, "update/norm": float("nan")},
        draw=lambda _: np.zeros((2, 2, 3), np.uint8),
        tell=said.append,
    ) as tracking:
        show = to_all(watch.show, tracking.show)
        for seconds, one in steps:
            clock.now += seconds
            show(one)
    return said


TWO_ROUNDS = [
    (3, step(1, Action.COMMIT, 100)),
    (1, step(1, Action.REVEAL, 10)),
    (5, step(1, Action.WAIT)),
    (2, step(1, Action.ATTEST, 1)),
    (4, step(2, Action.COMMIT, 200)),
    (6, step(2, Action.WAIT)),
    (1, step(2, Action.FINISHED, phase=Phase.FINISHED)),
]


def test_a_round_gets_what_it_took_and_not_what_the_next_one_took() -> None:
    notebook = Notebook()
    assert told_of(notebook, TWO_ROUNDS) == []
    assert notebook.closed
    assert [round for round, _ in notebook.told] == [1, 1, 2, 2]
    first, second = notebook.told[1][1], notebook.told[3][1]
    assert (first["gas"], first["seconds/training"], first["seconds/waiting"]) == (111, 3, 5)
    assert (second["gas"], second["seconds/training"], second["seconds/waiting"]) == (200, 4, 7)


def test_an_update_is_told_with_its_commitment_and_a_number_that_is_none_is_left_out() -> None:
    notebook = Notebook()
    told_of(notebook, TWO_ROUNDS[:1])
    assert notebook.told == [(1, {"loss/training": 0.5})]


def test_each_rounds_model_is_drawn_once() -> None:
    notebook = Notebook()
    told_of(notebook, TWO_ROUNDS)
    assert notebook.pictures == [(1, "samples"), (2, "samples")]


def test_a_node_that_comes_back_to_a_finished_task_tells_nothing() -> None:
    notebook = Notebook()
    told_of(notebook, TWO_ROUNDS[-1:])
    assert notebook.told == []


def test_rounds_that_went_by_unseen_count_as_the_last_of_them() -> None:
    notebook = Notebook()
    told_of(notebook, [(1, step(2, Action.WAIT)), (1, step(6, Action.WAIT))])
    assert [round for round, _ in notebook.told] == [5]


def test_a_tracker_that_fails_is_said_once_without_its_credentials_and_left_alone() -> None:
    failing = Failing()
    said = told_of(failing, TWO_ROUNDS)
    assert said == [Untracked("ConnectionError: no answer from https://host/run")]
    assert failing.tries == 1


# The files.


def events_in(folder: Path) -> Iterator[event_pb2.Event]:
    """The records of event files: length, checksum, bytes, checksum, as TFRecord has them."""
    for path in sorted(folder.rglob("events.out.tfevents.*")):
        file = io.BytesIO(path.read_bytes())
        while head := file.read(12):
            (size,) = struct.unpack("<Q", head[:8])
            event = event_pb2.Event()
            event.ParseFromString(file.read(size))
            file.read(4)
            yield event


def read_back(folder: Path) -> tuple[dict[str, dict[int, float]], dict[tuple[str, int], bytes]]:
    """The curves by name and round, and the pictures' PNG files."""
    curves: dict[str, dict[int, float]] = defaultdict(dict)
    pictures = {}
    for event in events_in(folder):
        for value in event.summary.value:
            if value.HasField("simple_value"):
                curves[value.tag][event.step] = value.simple_value
            elif value.HasField("image"):
                pictures[value.tag, event.step] = value.image.encoded_image_string
    return dict(curves), pictures


def run_tracked(place: Path, manifest: Manifest, learners: Any) -> Manifest:
    """Run a task to its end on a ledger in memory; the first member's node is tracked."""
    federation = federation_in(place, manifest)
    federation.learners |= learners(manifest)
    first, said = manifest.addresses[0], list[Said]()
    ledger: MemoryLedger = federation.ledger.acting_as(first)
    membership = Membership(ledger.chain_id, ledger.contract, federation.task, first)
    nodes: list[Participant] = [federation.start(member) for member in manifest.addresses]
    folder = NodeState(federation.folder / first, membership)
    watch = Watch()
    watch.store = federation.store
    with (
        folder,
        tracking_to(
            str(place / "runs"), membership, manifest, folder, federation.store, watch, said.append
        ) as tracking,
    ):
        show = to_all(watch.show, tracking.show)
        finished = False
        while not finished:
            steps = [node.step() for node in nodes]
            show(steps[0])
            finished = steps[0].action is Action.FINISHED
            if all(one.action is Action.WAIT for one in steps):
                federation.clock.time += 1_000
    assert said == []
    return manifest


def test_a_task_run_to_its_end_is_read_back_from_event_files(tmp_path: Path) -> None:
    def learners(manifest: Manifest) -> dict[str, StatingLearner]:
        return {
            member: StatingLearner(index, in_training={"accuracy": 0.5}, held_out={"auc": 0.25})
            for index, member in enumerate(manifest.addresses, 1)
        }

    manifest = run_tracked(tmp_path, small_manifest(learner=STATING), learners)
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name == f"task-1-{manifest.addresses[0]}"
    curves, pictures = read_back(run)
    assert curves["loss/training"] == {1: 1.0, 2: 0.5}
    assert curves["loss/held_out"] == {1: 2.0, 2: 1.0}
    assert curves["metric/accuracy"] == {1: 0.5, 2: 0.5}
    assert curves["metric/auc"] == {1: 0.25, 2: 0.25}
    assert "metric/kid" not in curves
    assert curves["update/examples"] == {1: 10, 2: 10}
    for name in ("update/norm", "update/bytes", "bytes/sent", "bytes/received"):
        assert set(curves[name]) == {1, 2}
        assert min(curves[name].values()) > 0
    assert set(curves["seconds/waiting"]) == set(curves["gas"]) == {1, 2}
    assert not pictures


def gan(**changes: Any) -> Manifest:
    learner = {
        "generator_width": 4,
        "discriminator_width": 4,
        "latent": 8,
        "extractor": {"width": 4},
    }
    return small_manifest(data={"channels": 1, "size": 32}, learner=learner, **changes)


def test_a_gans_samples_are_read_back_as_they_were_drawn(tmp_path: Path) -> None:
    manifest = gan()
    draw = drawing(manifest)
    assert draw is not None
    drawn = draw(derive_genesis(manifest))
    assert (drawn.ndim, drawn.shape[2], drawn.dtype) == (3, 3, np.uint8)
    tracker = open_tracker(str(tmp_path), "run", {})
    tracker.picture(3, "samples", drawn)
    tracker.close()
    _, pictures = read_back(tmp_path)
    with Image.open(io.BytesIO(pictures["samples", 3])) as picture:
        assert np.array_equal(np.asarray(picture), drawn)


@pytest.mark.parametrize(
    "manifest",
    [
        small_manifest(learner=STATING),
        small_manifest(learner={"kind": "classifier", "classes": 10}),
    ],
)
def test_what_draws_no_pictures_is_not_asked_to(manifest: Manifest) -> None:
    assert drawing(manifest) is None


# What --log-to names.


@pytest.mark.parametrize(
    ("place", "package"), [("wandb:p", "wandb"), ("mlflow:x", "mlflow"), ("http://h", "mlflow")]
)
def test_a_library_that_is_missing_is_named(
    place: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fl_node.cli.tracking.places.find_spec", lambda name: None)
    with pytest.raises(Misuse, match=f"pip install '{package}'"):
        open_tracker(place, "run", {})


def test_a_url_of_no_known_kind_is_no_folder() -> None:
    with pytest.raises(Misuse, match=r"--log-to takes a folder, .* not s3://host/x$"):
        open_tracker("s3://key:secret@host/x", "run", {})


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Misuse, match=r"--log-to .*/file/run: Not a directory"):
        open_tracker(str(tmp_path / "file"), "run", {})


class TestBeside:
    """A tracker behind a network, told in a thread."""

    def test_everything_arrives_in_its_order_before_the_end(self) -> None:
        notebook = Notebook()
        beside = Beside(lambda: notebook)
        for round in (1, 2, 3):
            beside.numbers(round, {"loss": 1.0})
        beside.picture(3, "samples", np.zeros((1, 1, 3), np.uint8))
        beside.close()
        assert [round for round, _ in notebook.told] == [1, 2, 3]
        assert notebook.pictures == [(3, "samples")]
        assert notebook.closed

    def test_a_server_that_hangs_holds_up_no_round_and_no_end(self) -> None:
        hangs = Event()
        beside = Beside(lambda: hangs.wait() and Notebook(), close_seconds=0.01)  # type: ignore
        for round in range(MOST_WAITING - 2):
            beside.numbers(round, {"loss": 1.0})
        with pytest.raises(TimeoutError, match="not sent within"):
            beside.close()
        with pytest.raises(TimeoutError, match="64 messages wait"):
            beside.numbers(1, {"loss": 1.0})
        hangs.set()

    def test_what_went_wrong_in_the_thread_is_raised_at_the_latest_at_the_end(self) -> None:
        beside = Beside(Failing)
        beside.numbers(1, {"loss": 1.0})
        with pytest.raises(ConnectionError):
            beside.close()

    def test_a_server_that_cannot_be_opened_is_raised_too(self) -> None:
        def gone() -> Notebook:
            raise ConnectionError("refused")

        with pytest.raises(ConnectionError, match="refused"):
            Beside(gone).close()
