"""`ganchor extractor`, and the extractors that `ganchor evaluate` compares pictures with."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from platformdirs import user_cache_path
from rich.console import Console
from rich.progress import Progress

from chain.errors import FileUnusable
from chain.files import map_file, write_whole
from fl_node.arrays import Arrays
from fl_node.blobs.model import decode_model, encode_model
from fl_node.blobs.store import open_store
from fl_node.cli import options
from fl_node.cli.subjects import verify_pictures
from fl_node.errors import BlobMalformed, DataUnusable, Misuse
from fl_node.manifest.extractor import Extractor
from fl_node.manifest.manifest import Manifest
from fl_node.manifest.packing import read_draft

if TYPE_CHECKING:
    from fl_node.learning import FeatureExtractor, Images
    from fl_node.learning.classifier.options import ClassifierOptions

MAX_EXTRACTOR_BYTES = 1 << 30

Cache = Annotated[
    Path | None,
    typer.Option(help="Folder of trained extractors. Default: in the user's cache folder."),
]


class ExtractorKind(StrEnum):
    """The kind of extractor."""

    trained = "trained"
    manifest = "manifest"
    inception = "inception"


def manifest_extractor(manifest: Manifest, store: str, device: Any) -> FeatureExtractor:
    """The extractor of the members' held-out losses. It classifies nothing: its weights may be random.

    Args:
        manifest: A manifest whose learner compares pictures.
        store: Holds the weights, unless they are random.
        device: As torch's; prepared.

    Raises:
        Misuse, StoreUnusable: The learner compares no pictures, or the weights are not in the store.
    """
    from fl_node import learning
    from fl_node.learning.task import extractor_weights

    extractor = _extractor_of(manifest)
    chosen = learning.extractor_options(manifest)
    opened = open_store(store, must_exist=True) if extractor.digest else None
    weights = extractor_weights(manifest, opened)
    if weights is None:
        weights = learning.random_weights(chosen, manifest.seed)
    return learning.open_extractor(chosen, weights, device, classifies=False)


def trained_extractor(
    manifest: Manifest, train: Images, seed: int, cache: Path | None, device: Any
) -> FeatureExtractor:
    """A classifier trained on a training split, which also classifies; see `trained_weights`."""
    from fl_node import learning

    chosen, weights = trained_weights(manifest, train, seed, cache, device)
    return learning.open_extractor(chosen, weights, device, classifies=True)


def trained_weights(
    manifest: Manifest, train: Images, seed: int, cache: Path | None, device: Any
) -> tuple[ClassifierOptions, Arrays]:
    """Train an extractor, or load the one that was trained earlier.

    Args:
        manifest: Gives the network and its width, by default those of an extractor.
        train: Pictures with classes.
        seed: Seed of the initial weights and the batches.
        cache: Folder of trained extractors; by default in the user's cache folder.
        device: As torch's; prepared.

    Raises:
        DataUnusable: The pictures have no classes.
        TrainingDiverged: The loss is no longer finite.
    """
    from fl_node import learning

    if train.labels_N is None:
        raise DataUnusable(
            "the pictures of --data have no classes to train an extractor on; give --extractor manifest"
        )
    chosen = replace(
        learning.extractor_options(manifest),
        classes=max(2, 1 + int(train.labels_N.max())),
    )
    folder = cache or user_cache_path("ganchor") / "extractors"
    kept = folder / f"{_key(chosen, train, seed)}.safetensors"
    weights = _kept(kept)
    if weights is None:
        weights = _train(chosen, train, seed, device)
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_whole(kept, encode_model(weights))
    return chosen, weights


def extractor(
    manifest_file: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="The manifest, in TOML.")
    ],
    data: options.Data,
    store: options.StoreUrl = options.DEFAULT_STORE,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all randomness.")] = 0,
    cache: Cache = None,
    device: options.Device = None,
    threads: options.Threads = 1,
    as_json: options.Json = False,
) -> None:
    """Train the extractor of a GAN's manifest and put it into the store. Prints the lines that the manifest needs."""
    from fl_node import learning
    from fl_node.learning.task import load_data

    manifest = read_draft(manifest_file).manifest
    verify_pictures(manifest)
    _extractor_of(manifest)
    train = load_data(manifest, data)
    chosen_device = learning.choose_device(device)
    learning.prepare(chosen_device, threads)
    chosen, weights = trained_weights(manifest, train, seed, cache, chosen_device)
    named = {
        "digest": open_store(store).put(encode_model(weights)).hex(),
        "network": chosen.network,
        "width": chosen.width,
        "classes": chosen.classes,
    }
    if as_json:
        typer.echo(json.dumps(named))
    else:
        fields = ", ".join(f"{name} = {json.dumps(value)}" for name, value in named.items())
        typer.echo(f"[learner]\nextractor = {{ {fields} }}")


def _extractor_of(manifest: Manifest) -> Extractor:
    extractor = manifest.learner.compared_by
    if extractor is None:
        raise Misuse(f"a {manifest.learner.kind} compares no pictures, so it has no extractor")
    return extractor


def _key(chosen: ClassifierOptions, train: Images, seed: int) -> str:
    """A name for an extractor that depends on its training pictures, its options and its seed."""
    key = hashlib.sha256(f"{chosen} {seed}".encode())
    key.update(train.pixels_NCHW.tobytes())
    key.update(b"" if train.labels_N is None else train.labels_N.tobytes())
    return key.hexdigest()


def _kept(path: Path) -> Arrays | None:
    try:
        return decode_model(map_file(path, MAX_EXTRACTOR_BYTES))
    except (FileUnusable, BlobMalformed):  # A missing or damaged file is written again.
        return None


def _train(chosen: ClassifierOptions, train: Images, seed: int, device: Any) -> Arrays:
    from fl_node import learning

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        line = bar.add_task("training the extractor", total=None)
        return learning.train_extractor(
            chosen,
            train,
            seed,
            device,
            lambda step, steps, losses: bar.update(line, completed=step, total=steps),
        )
