"""`ganchor evaluate`: measure models on pictures that nobody trained on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

from fl_node.cli import options
from fl_node.cli.evaluate.evaluation import Evaluation, Measured, table_of, write_files
from fl_node.cli.evaluate.extractors import (
    Cache,
    ExtractorKind,
    manifest_extractor,
    trained_extractor,
)
from fl_node.cli.subjects import Subjects, find_subjects, verify_pictures
from fl_node.errors import Misuse
from fl_node.manifest.manifest import Manifest

if TYPE_CHECKING:
    from fl_node.learning import FeatureExtractor, Images

MIN_SAMPLES = 20
"""The standard error of a KID rests on ten blocks of two."""


class Against(StrEnum):
    """The real pictures with which samples are compared."""

    test = "test"
    train = "train"


def evaluate(
    data: options.Data,
    task: options.Task = 1,
    store: options.StoreUrl = options.DEFAULT_STORE,
    rpc_url: options.RpcUrl = options.DEFAULT_RPC_URL,
    deployment: options.DeploymentFile = options.DEFAULT_DEPLOYMENT,
    workspace: options.WorkspaceFolder = None,
    rounds: options.Rounds = "final",
    manifest: options.ModelsManifest = None,
    model: options.ModelFiles = None,
    test: Annotated[
        str | None,
        typer.Option(
            help="Pictures that nobody trained on: folder:PATH, or a data set, of which the test split is used. "
            "Default: the data set of --data."
        ),
    ] = None,
    against: Annotated[
        Against,
        typer.Option(
            help="Compare samples with the test split, or with the training split, as most papers do."
        ),
    ] = Against.test,
    samples: Annotated[
        int,
        typer.Option(
            min=MIN_SAMPLES,
            help="Samples drawn from a model; at most the number of training pictures.",
        ),
    ] = 2048,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the samples and the extractor.")] = 0,
    extractor: Annotated[
        ExtractorKind,
        typer.Option(
            help="The network whose features compare pictures: a classifier trained on --data, the manifest's "
            "extractor, or Inception, which needs ganchor[inception]."
        ),
    ] = ExtractorKind.trained,
    cache: Cache = None,
    device: options.Device = None,
    threads: options.Threads = 1,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for evaluation.json, samples of each model, and curves."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Measure models on test pictures: KID, FID and classes of samples, or a classifier's accuracy and loss."""
    subjects = find_subjects(workspace, rpc_url, deployment, store, task, rounds, manifest, model)
    verify_pictures(subjects.manifest)
    if against is Against.train and not _draws_samples(subjects.manifest):
        raise Misuse("only samples are compared with training pictures: leave --against out")
    pictures = load_pictures(subjects.manifest, data, test)
    conditions = Conditions(
        subjects.manifest, against, samples, seed, device, threads, extractor, subjects.store, cache
    )
    evaluation = measure(subjects, pictures, conditions, out)
    if out is not None:
        write_files(evaluation, out)
    if as_json:
        typer.echo(json.dumps(evaluation.to_json()))
    else:
        console = Console()
        console.print(table_of(evaluation))
        for name, value in evaluation.facts.items():
            console.print(f"{name}: {value}", soft_wrap=True, markup=False, highlight=False)


def _draws_samples(manifest: Manifest) -> bool:
    from fl_node import learning

    return learning.kind_of(learning.learning_options(manifest)).sampler is not None


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures that extractors train on and the pictures that models are measured on, with their names."""

    data: str
    train: Images
    test_data: str
    test: Images


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of a measurement; the options of the same names describe them."""

    manifest: Manifest
    against: Against
    samples: int
    seed: int
    device: str | None
    threads: int
    extractor: ExtractorKind
    store: str
    cache: Path | None


def load_pictures(manifest: Manifest, data: str, test: str | None) -> Pictures:
    """Load a data set's training split, and the test split of the same or of another.

    Raises:
        Misuse: `data` is a folder and no `test` is given; or all pictures are grey although the task has colours.
        DataUnusable: The data is unknown, empty, or not downloadable.
    """
    from fl_node import learning
    from fl_node.learning.task import load_data

    if test is None and data.startswith("folder:"):
        raise Misuse(f"{data} has no test split: give pictures that nobody trained on with --test")
    test_data = data if test is None else test
    tested = learning.load_test_images(test_data, learning.learning_options(manifest))
    trained = load_data(manifest, data)
    for name, images in ((data, trained), (test_data, tested)):
        _verify_colour(name, images)
    return Pictures(data, trained, test_data, tested)


def _verify_colour(name: str, images: Images) -> None:
    """Refuse grey pictures for models of colour pictures: the numbers would look plausible and mean nothing."""
    pixels = images.pixels_NCHW
    if pixels.shape[1] > 1 and (pixels == pixels[:, :1]).all():
        raise Misuse(f"the pictures of {name} are all grey, but the task's have colours")


def measure(
    subjects: Subjects, pictures: Pictures, conditions: Conditions, out: Path | None
) -> Evaluation:
    """Measure every model, and draw samples from each into the folder `out`, which is created.

    Raises:
        Misuse, BadData: A model cannot be read or does not fit the manifest.
    """
    from fl_node import learning
    from fl_node.learning.task import drawing_of

    chosen = learning.learning_options(subjects.manifest)
    device = learning.choose_device(conditions.device)
    learning.prepare(device, conditions.threads)
    facts: dict[str, Any] = {
        "data": pictures.data,
        "test": pictures.test_data,
        "test_pictures": len(pictures.test.pixels_NCHW),
        "seed": conditions.seed,
    }
    kind = learning.kind_of(chosen)
    trial = learning.Trial(
        train=pictures.train,
        test=pictures.test,
        extractor=lambda: open_extractor(conditions, pictures.train, device),
        samples=conditions.samples,
        seed=conditions.seed,
        device=device,
        against=conditions.against.value,
    )
    judge = kind.judge(chosen, trial)
    if kind.sampler:
        facts["extractor"] = conditions.extractor.value
    facts |= judge.facts
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    measured = []
    console = Console(stderr=True)
    for model in track(
        subjects.models,
        "measuring",
        console=console,
        disable=not console.is_terminal,
        transient=True,
    ):
        arrays = model.load()
        measured.append(Measured(model, judge.judge(arrays)))
        if out is not None and kind.sampler:
            drawing_of(subjects.manifest)(
                arrays, out / f"samples-{model.name}.png", conditions.seed
            )
    return Evaluation(facts, tuple(measured), judge.floor(), subjects.recorded)


def open_extractor(conditions: Conditions, train: Images, device: Any) -> FeatureExtractor:
    """Open the extractor whose features compare pictures."""
    from fl_node import learning

    match conditions.extractor:
        case ExtractorKind.inception:
            return learning.inception_extractor(device)
        case ExtractorKind.trained:
            return trained_extractor(
                conditions.manifest, train, conditions.seed, conditions.cache, device
            )
        case ExtractorKind.manifest:
            return manifest_extractor(conditions.manifest, conditions.store, device)
