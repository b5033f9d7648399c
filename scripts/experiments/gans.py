"""The experiments' GAN, small for two cores or large for a GPU, and the quality of its samples."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from harness import Checkpoint, Experiment
from pictures import training_pictures, unseen_pictures
from reporting import Options, results_of
from results import Result
from settings import Setting

from fl_node.learning import FeatureExtractor, Trial, choose_device
from fl_node.learning.classifier.options import ClassifierOptions
from fl_node.learning.extractor import extractor_options, open_extractor, train_extractor
from fl_node.learning.kinds import kind_of, learning_options
from fl_node.learning.options import Options as Knobs
from fl_node.learning.sample_judge import SampleJudge, SampleQuality
from fl_node.learning.sampling import sample_grid
from fl_node.manifest.manifest import Manifest
from fl_node.measures import fid_draws

SAMPLES_VARIABLE = "GANCHOR_EXPERIMENT_SAMPLES"
"""Environment variable with the folder for the last round's samples; without it none are drawn."""

SAMPLES, SEED = 2048, 0
"""The most samples that are measured, and the seed of their z and of the extractor's weights."""

DRAWS = 400
"""Number of bootstrap draws of the test pictures on which FIDs are compared."""

KNOBS_SEED = 2
"""The seed with which the settings were chosen. No table reports it."""

SEEDS = "1,3,4"
"""The seeds of a table, unless others are given."""

EXTRACTOR_WIDTH = 8
"""Channels of the first layer of the extractor that compares samples with test pictures."""

ROWS, COLUMNS = 8, 4
"""Rows and columns of samples in a picture."""

RELATIVISTIC: Mapping[str, Any] = {
    "kind": "gan",
    "latent": 64,
    "generator_width": 24,
    "discriminator_width": 16,
    "loss": "relativistic",
    "norm": "group",
    "penalty": 1,
    "batch": 32,
    "beta1": 0,
    "beta2": "0.99",
    "generator_rate": "0.001",
    "discriminator_rate": "0.001",
    "ema_half_life": 60,
    "extractor": {"width": EXTRACTOR_WIDTH},  # for the losses that members report
}
"""The settings with the best KID after a few hundred steps, among about twenty that docs/experiments.md names."""

FLOW: Mapping[str, Any] = {
    "kind": "flow",
    "width": 24,
    "batch": 32,
    "rate": "0.004",
    "ema_half_life": 40,
}
"""The settings with the best FID among six, with seeds 5 and 7: rates of 0.002 to 0.004, widths of 16 and 24."""


def gan(
    options: Options, name: str, strategy: Mapping[str, Any] | None = None, **fields: Any
) -> Setting:
    """A setting of the chosen size and data: five members and `rounds(options)` rounds of `steps(options)` steps.

    Args:
        options: Its size and data are used.
        name: The setting's name.
        strategy: The manifest's section, without the work.
        fields: Other fields of the setting, which take precedence.
    """
    strategy = {**(strategy or {}), "work": {"steps": steps(options)}}
    count = rounds(options)
    common: dict[str, Any] = {"rounds": count, "members": 5, "every": count, "data": options.data}
    common |= {"learner": learner(options), "strategy": strategy}
    if options.data == "cifar10" and options.size == "small":
        common |= {"pictures": 5_000, "tests": 2_000}
    return Setting(name, **{**common, **fields})


def rounds(options: Options) -> int:
    """Number of rounds in a setting."""
    return 100 if options.size == "large" else 20


def steps(options: Options) -> int:
    """Number of optimiser steps of a member in a round."""
    return 200 if options.size == "large" else 20


def learner(options: Options) -> dict[str, Any]:
    """The manifest's section: the DCGAN, which is wider for the large size."""
    if options.size == "small":
        return dict(RELATIVISTIC)
    wide = {"latent": 100, "generator_width": 64, "discriminator_width": 64, "batch": 64}
    return {**RELATIVISTIC, **wide, "ema_half_life": 1000}


def flow(options: Options) -> dict[str, Any]:
    """The manifest's section for flow matching, with about as many weights as the GAN's two networks."""
    if options.size == "small":
        return dict(FLOW)
    return {**FLOW, "width": 64, "batch": 64, "ema_half_life": 1000}


def judged(at: Checkpoint) -> dict[str, Any]:
    """The distance between the global generator's samples and the test split, and how many classes they show.

    Returns:
        `kid` and `fid` with their errors, `covered`, and the list `fid_draws`, whose draws are the same for all runs:
        see `fl_node.measures`.
    """
    folder = os.environ.get(SAMPLES_VARIABLE)
    if folder and at.round == at.setting.rounds:
        picture = picture_file(Path(folder), at.setting.name, at.manifest.seed)
        picture.parent.mkdir(parents=True, exist_ok=True)
        options = learning_options(at.manifest)
        sampler = kind_of(options).sampler(options, at.model, choose_device("cpu"))
        sample_grid(sampler, picture, SEED, ROWS, COLUMNS)
    judge = _judge(at.setting, at.manifest, at.device)
    features_ND = judge.features(at.model)
    draws = fid_draws(features_ND, judge.real_MD, SEED, DRAWS)
    return {**_figures(judge.quality(features_ND)), "fid_draws": draws.tolist()}


def floor_of(setting: Setting, device: str | None) -> dict[str, float]:
    """The figures of real training pictures in place of samples."""
    return _figures(_judge(setting, setting.manifest(SEED), device).floor())


def gan_results(
    experiment: Experiment, options: Options, some_rows: bool = False
) -> dict[str, list[Result]]:
    """Do those runs of an experiment that have no result yet, and draw every run's samples; see `results_of`."""
    os.environ[SAMPLES_VARIABLE] = str(options.out / "samples")  # inherited by the runs' processes
    return results_of(experiment, options, some_rows)


def picture_file(folder: Path, name: str, seed: int) -> Path:
    """The file for the samples of a setting's run."""
    words = "".join(letter if letter.isalnum() else "-" for letter in name)
    return folder / f"{words}-{seed}.png"


def _figures(quality: SampleQuality) -> dict[str, float]:
    covered = quality.coverage.covered if quality.coverage else 0
    return {
        "kid": quality.kid,
        "kid_error": quality.kid_error,
        "fid": quality.fid,
        "fid_error": quality.fid_error,
        "covered": covered,
    }


def _judge(setting: Setting, manifest: Manifest, device: str | None) -> SampleJudge:
    extractor = replace(extractor_options(manifest), width=EXTRACTOR_WIDTH)
    given = (setting.data, setting.pictures, device)
    return _judge_of(*given, setting.tests, learning_options(manifest), extractor)


@lru_cache(maxsize=4)  # A process judges many runs, of few kinds of model.
def _judge_of(
    data: str,
    pictures: int | None,
    device: str | None,
    tests: int | None,
    options: Knobs,
    extractor: ClassifierOptions,
) -> SampleJudge:
    train, test = training_pictures(data, options, pictures), unseen_pictures(data, options, tests)
    opened = _extractor(data, pictures, device, extractor)
    trial = Trial(train, test, lambda: opened, SAMPLES, SEED, choose_device(device))
    judge = kind_of(options).judge(options, trial)
    assert isinstance(judge, SampleJudge), f"a {options.kind} draws no samples"
    return judge


@lru_cache(maxsize=4)
def _extractor(
    data: str, pictures: int | None, device: str | None, options: ClassifierOptions
) -> FeatureExtractor:
    """A classifier of the training pictures, the same for every run and every kind of model."""
    train, chosen = training_pictures(data, options, pictures), choose_device(device)
    weights = train_extractor(options, train, SEED, chosen)
    return open_extractor(options, weights, chosen, classifies=True)
