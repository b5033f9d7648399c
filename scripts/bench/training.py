"""Training speed: this project's step compared with a typical tutorial's loop, or each term against client drift.

The GAN's tutorial loop is that of the listing from which the project grew. On a GPU the step is a CUDA graph; it is
compared with the same step taken without one, in speed and in results. Without a GPU the script says that it could not.
It needs numpy and torch, but no chain. Pictures are random bytes, because a step takes the same time for any picture.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.kernels import kernels_per_step
from bench.plain_loops import Run, listing, tutorial

from fl_node.learner import Assignment
from fl_node.learning import Images, Options, make_learner
from fl_node.learning.classifier.options import ClassifierOptions, Network
from fl_node.learning.device import choose_device, prepare
from fl_node.learning.gan.options import GanOptions
from fl_node.learning.genesis import genesis
from fl_node.learning.kinds import kind_of
from fl_node.learning.run import Runner
from fl_node.learning.steps import to_device
from fl_node.learning.tensors import module_arrays
from fl_node.learning.workplace import Workplace

PICTURES = 2048
CLASSES = 10
REPEATS = 5
WARM_UP_STEPS = 5  # Three before a graph is recorded, and two that replay it.
COMPARED_STEPS, TOLERANCE = 20, 1e-3
REACH = 5
"""How many times as fast as the plain loop a graph on a GPU is to be."""


def main() -> None:
    arguments = parse_arguments()
    device = choose_device(arguments.device)
    prepare(device, arguments.threads)
    options = describe_model(arguments)
    images = random_images(options)
    if arguments.algorithms:
        runs = algorithms(options, images, device)
    else:
        usual = listing if isinstance(options, GanOptions) else tutorial
        runs = {"ours": ours(options, images, device), "listing": usual(options, images, device)}
        if device.type == "cuda":
            runs["eager"] = ours(options, images, device, recorded=False)
    seconds = compare(list(runs.values()), arguments.steps)
    rates = {
        name: arguments.steps * arguments.batch / value
        for name, value in zip(runs, seconds, strict=True)
    }
    kernels = kernels_per_step(options)
    report(describe(device), arguments, rates, kernels)
    report_graph(options, images, device)
    if arguments.json:
        figures = {
            f"{name}_images_per_second".removeprefix("ours_"): round(rate, 1)
            for name, rate in rates.items()
        }
        print(json.dumps({"device": describe(device), "kernels_per_step": kernels, **figures}))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--learner", default="gan", choices=("gan", "classifier", "resnet18"), help="the model"
    )
    parser.add_argument(
        "--algorithms", action="store_true", help="compare the terms against client drift instead"
    )
    parser.add_argument("--batch", type=int, default=32, help="pictures per step")
    parser.add_argument("--size", type=int, default=64, choices=(32, 64), help="pixels per side")
    parser.add_argument("--steps", type=int, default=10, help="steps per repeat")
    parser.add_argument("--device", help="such as cpu or cuda:1; by default the fastest kind")
    parser.add_argument("--threads", type=int, help="CPU threads; by default torch's choice")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object as the last line"
    )
    return parser.parse_args()


def describe_model(arguments: argparse.Namespace) -> Options:
    """The options of a default classifier or of the listing's GAN.

    That GAN is a DCGAN with batch norm, binary cross-entropy, Adam at 1e-3, and no average of the generator.
    """
    size, batch = arguments.size, arguments.batch
    if arguments.learner != "gan":
        network = "cnn" if arguments.learner == "classifier" else arguments.learner
        return _classifier(size, batch, network)
    return GanOptions(
        channels=3,
        size=size,
        held_out=0.1,
        network="dcgan",
        classes=0,
        latent=100,
        generator_width=64,
        discriminator_width=64,
        loss="bce",
        norm="batch",
        penalty=0.0,
        batch=batch,
        generator_rate=1e-3,
        discriminator_rate=1e-3,
        beta1=0.5,
        beta2=0.999,
        ema_half_life=0,
        ema_unit="steps",
        share=("*",),
        extractor=_classifier(size, batch, "cnn"),
        extractor_weights=None,
    )


def _classifier(size: int, batch: int, network: Network) -> ClassifierOptions:
    return ClassifierOptions(
        channels=3,
        size=size,
        held_out=0.1,
        network=network,
        width=16,
        classes=10,
        batch=batch,
        optimiser="sgd",
        rate=0.05,
        momentum=0.0,
        weight_decay=0.0,
        share=("*",),
    )


def random_images(options: Options) -> Images:
    random = np.random.default_rng(0)
    shape = (PICTURES, options.channels, options.size, options.size)
    pixels = random.integers(0, 256, shape, np.uint8)
    return Images(pixels, random.integers(0, CLASSES, PICTURES))


def ours(
    options: Options, images: Images, device: torch.device, recorded: bool = True
) -> Callable[[int], float]:
    """This project's step; on a GPU as a graph, or as it is taken on other devices."""
    place = workplace_with(options, device, recorded)
    resident = to_device(images, device)
    return lambda steps: float(place.runner.run(options, resident, steps, seed=0))


def workplace_with(options: Options, device: torch.device, recorded: bool) -> Workplace:
    """A model that is ready to be trained."""
    learner = kind_of(options).learner
    place = Workplace(learner, options, device)
    if not recorded:
        place.runner = Runner(learner, place.training, device)
    place.resume(options, genesis(options, seed=0), private=None)
    return place


def report_graph(options: Options, images: Images, device: torch.device) -> None:
    """Say whether the graph takes the steps that are taken without it."""
    if device.type != "cuda":
        print("no GPU with CUDA: graph and plain steps could not be compared")
        return
    resident, weights = to_device(images, device), []
    for recorded in (True, False):
        place = workplace_with(options, device, recorded)
        place.runner.run(options, resident, COMPARED_STEPS, seed=0)
        weights.append(module_arrays(place.training.model))
    graph, plain = weights
    squares = [
        (float(np.square(graph[name] - plain[name]).sum()), float(np.square(plain[name]).sum()))
        for name in plain
    ]
    distance = (sum(part for part, _ in squares) / sum(whole for _, whole in squares)) ** 0.5
    verdict = "the same" if distance < TOLERANCE else "NOT the same"
    print(
        f"graph and plain steps: after {COMPARED_STEPS} steps the weights differ by {distance:.1e} of their length, "
        f"which is {verdict} within {TOLERANCE:.0e}"
    )


def algorithms(options: Options, images: Images, device: torch.device) -> dict[str, Run]:
    """A member's whole training, including its start and end: plain, and with one term each."""
    learner = make_learner(options, 0, images, str(device))
    model = genesis(options, seed=0)
    zeros = {name: np.zeros_like(array) for name, array in model.items()}
    terms = {
        "plain": {},
        "mu": {"mu": 0.01},
        "correction": {"correction": zeros},
        "discrepancy": {"discrepancy": 0.1},
    }

    def run(fields: dict) -> Run:
        return lambda steps: learner.train(Assignment(model, None, 0, steps, **fields))

    return {name: run(fields) for name, fields in terms.items()}


def compare(runs: list[Run], steps: int) -> list[float]:
    """Median seconds of each run; the runs take turns, so that other load on the machine affects all of them."""
    for run in runs:
        run(WARM_UP_STEPS)
    seconds: list[list[float]] = [[] for _ in runs]
    for _ in range(REPEATS):
        for run, taken in zip(runs, seconds, strict=True):
            start = time.perf_counter()
            run(steps)
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in seconds]


def describe(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)" if device.type == "cpu" else str(device)


def report(
    device: str, arguments: argparse.Namespace, rates: dict[str, float], kernels: int
) -> None:
    """Print the rates, absolute and as multiples of the listing's rate or of plain training's."""
    base = rates["plain" if arguments.algorithms else "listing"]
    print(
        f"{arguments.learner} {arguments.size}x{arguments.size}, batch {arguments.batch}, on {device}; "
        f"median of {REPEATS} x {arguments.steps} steps, random pictures"
    )
    print(f"{'step':14} {'images/s':>10} {'s/1000':>8} {'ratio':>7}")
    for name, rate in rates.items():
        print(f"{name:14} {rate:10.1f} {1000 / rate:8.3f} {rate / base:7.2f}")
    print(f"kernels per step of ours: {kernels}, counted on meta tensors")
    if "eager" in rates:
        met = rates["ours"] >= REACH * base
        print(f"the reach of {REACH} times the plain loop is {'met' if met else 'NOT met'}")


if __name__ == "__main__":
    main()
