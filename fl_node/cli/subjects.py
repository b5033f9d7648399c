"""Finds the models that `ganchor evaluate`, `samples` and `weights` work on: of a task's final rounds, or in files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from chain.connection import Urls
from chain.errors import FileUnusable
from chain.files import map_file
from fl_node.arrays import Arrays
from fl_node.blobs.digest import digest_of
from fl_node.blobs.global_state import model_of
from fl_node.blobs.model import decode_model, load_model
from fl_node.blobs.store import Store, open_store
from fl_node.cli import options, wiring
from fl_node.cli.cached import cached_log
from fl_node.errors import BadData, Misuse
from fl_node.history.past import mean_losses
from fl_node.history.record import RecordedRound, past_of
from fl_node.manifest.code_learners import CodeLearner
from fl_node.manifest.manifest import Manifest
from fl_node.manifest.packing import read_draft
from fl_node.member.joining import load_manifest

MILLION = 1e6


@dataclass(frozen=True, slots=True)
class Subject:
    """One model: its name, its round (0 is the genesis; None for a file), its digest in hex, and its tensors, which are
    read on demand."""

    name: str
    round: int | None
    digest: str
    load: Callable[[], Arrays]

    @property
    def title(self) -> str:
        """The model's name in a sentence."""
        return self.name if self.round is None else f"round {self.round}"


@dataclass(frozen=True, slots=True)
class RecordedLosses:
    """Example-weighted means of a final round's losses on chain; None if no update was included."""

    round: int
    training: float | None
    held_out: float | None


@dataclass(frozen=True, slots=True)
class Subjects:
    """The models, their manifest, the recorded losses of all final rounds, and the store's URL."""

    manifest: Manifest
    models: tuple[Subject, ...]
    recorded: tuple[RecordedLosses, ...] = ()
    store: str = options.DEFAULT_STORE


def find_subjects(
    workspace: Path | None,
    rpc_urls: Urls,
    deployment: Path,
    store: str,
    task: int,
    rounds: str,
    manifest: Path | None,
    models: Sequence[Path] | None,
) -> Subjects:
    """Find the models that a command's options of these names select.

    Raises:
        Misuse: As for `subjects_of_task` and `subjects_in_files`; or the folder is not a workspace.
    """
    if manifest is not None or models:
        return replace(subjects_in_files(manifest, models or []), store=store)
    with wiring.evidence(workspace, rpc_urls, deployment, store) as evidence:
        opened = open_store(evidence.store, must_exist=True)
        found = subjects_of_task(evidence.rpc_urls, evidence.deployment, opened, task, rounds)
        return replace(found, store=evidence.store)


def subjects_of_task(
    rpc_urls: Urls, deployment: Path, store: Store, task: int, rounds: str
) -> Subjects:
    """The models of a task's final rounds, in the order of the rounds.

    Args:
        rpc_urls, deployment: Those of the chain and the contract.
        store: Holds the task's blobs.
        task: The task's number.
        rounds: The value of `--rounds`.

    Raises:
        Misuse: `rounds` names a round that is not final, or the task's manifest is not in the store.
    """
    ledger = wiring.open_ledger(rpc_urls, deployment, task=task)
    manifest = load_manifest(ledger, store, task)
    state = ledger.task_state(task)
    with cached_log(ledger, task) as kept, kept.read_to(state.history_head) as log:
        finals = list(log.final_rounds())
    digests = [state.genesis_digest, *(final.finalised.aggregate_digest for final in finals)]
    models = [
        Subject(
            str(round), round, digests[round].hex(), _from_store(store, digests[round], manifest)
        )
        for round in chosen_rounds(rounds, len(digests) - 1)
    ]
    return Subjects(manifest, tuple(models), tuple(_recorded(manifest, finals)))


def subjects_in_files(manifest: Path | None, models: Sequence[Path]) -> Subjects:
    """Models in files, such as those of `ganchor simulate --store`.

    Raises:
        Misuse: Only one of the two is given, or a file is not a model blob or is too large.
        ManifestInvalid: The manifest is wrong.
    """
    if manifest is None or not models:
        raise Misuse("--manifest and --model go together: the manifest describes the model")
    agreed = read_draft(manifest).manifest
    return Subjects(agreed, tuple(_in_file(path, agreed) for path in models))


def chosen_rounds(text: str, last: int) -> list[int]:
    """Read `--rounds`: final, all, or numbers separated by commas; 0 is the genesis.

    Args:
        text: The option's value.
        last: The last final round; 0 if there is none yet.

    Raises:
        Misuse: It has another form, or names a round that is not final.
    """
    if text == "final":
        return [last]
    if text == "all":
        return list(range(last + 1))
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() and word.isascii() for word in words):
        raise Misuse(f"--rounds is {text!r}; allowed: final, all, or numbers such as 1,5,10")
    numbers = sorted({int(word) for word in words})
    if numbers[-1] > last:
        raise Misuse(f"round {numbers[-1]} is not final; the last final round is {last}")
    return numbers


def verify_pictures(manifest: Manifest) -> None:
    """Check that a command knows the task's model: one of this package's, which learn from pictures.

    Raises:
        Misuse: The task trains code of its own.
    """
    if isinstance(manifest.learner, CodeLearner):
        raise Misuse(
            f'the task trains code of its own (learner.kind = "{manifest.learner.kind}"), of which this command knows '
            "nothing: ganchor weights writes the model's weights for a program of yours"
        )


def _from_store(store: Store, digest: bytes, manifest: Manifest) -> Callable[[], Arrays]:
    return lambda: model_of(load_model(store, digest, manifest.limits.model_bytes).arrays)


def _in_file(path: Path, manifest: Manifest) -> Subject:
    try:
        blob = map_file(path, manifest.limits.model_bytes)
        arrays = model_of(decode_model(blob))
    except FileUnusable as error:
        raise Misuse(str(error)) from None
    except BadData as error:
        raise Misuse(f"{path}: {error}") from None
    digest = digest_of(blob).hex()
    name = path.name if path.name != digest else digest[:8]
    return Subject(name, None, digest, lambda: arrays)


def _recorded(manifest: Manifest, finals: Sequence[RecordedRound]) -> Iterator[RecordedLosses]:
    for round, final in enumerate(finals, start=1):
        past = past_of(manifest.addresses, final)
        means = [mean_losses([past], loss) for loss in ("training", "held_out")]
        training, held_out = (mean[0] / MILLION if mean else None for mean in means)
        yield RecordedLosses(round, training, held_out)
