"""Training speed: our step against the step of the listing that the project grew from, same model and batch.

Needs numpy and torch and nothing of the chain. Pictures are random bytes: a step costs the same on any picture.
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
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from fl_node.learning.device import choose_device, prepare
from fl_node.learning.gan.models import Discriminator, Generator, build
from fl_node.learning.gan.training_loop import prepare_training, train_steps
from fl_node.learning.genesis import genesis
from fl_node.learning.options import GanOptions
from fl_node.learning.steps import Examples, to_pictures
from fl_node.learning.tensors import fill_module

PICTURES = 2048
REPEATS = 5
WARM_UP_STEPS = 3

Run = Callable[[int], None]
"""Takes so many steps, and returns when the device has finished them."""


def main() -> None:
    arguments = parse_arguments()
    device = choose_device(arguments.device)
    prepare(device, arguments.threads)
    options = listing_options(arguments.size, arguments.batch)
    pixels = np.random.default_rng(0).integers(
        0, 256, (PICTURES, options.channels, options.size, options.size), np.uint8
    )
    seconds = compare(
        [ours(options, pixels, device), listing(options, pixels, device)], arguments.steps
    )
    ours_rate, listing_rate = (arguments.steps * arguments.batch / value for value in seconds)
    report(describe(device), arguments, ours_rate, listing_rate)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=32, help="pictures per step")
    parser.add_argument("--size", type=int, default=64, choices=(32, 64), help="pixels per side")
    parser.add_argument("--steps", type=int, default=10, help="steps per repeat")
    parser.add_argument("--device", help="such as cpu or cuda:1; the fastest kind by default")
    parser.add_argument("--threads", type=int, help="CPU threads; torch's choice by default")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object as the last line"
    )
    return parser.parse_args()


def listing_options(size: int, batch: int) -> GanOptions:
    """The listing's model and objective: DCGAN with batch norm, binary cross-entropy, Adam at 1e-3, no average."""
    return GanOptions(
        channels=3,
        size=size,
        batch=batch,
        loss="bce",
        norm="batch",
        penalty=0.0,
        generator_rate=1e-3,
        discriminator_rate=1e-3,
        ema_half_life=0,
    )


def ours(options: GanOptions, pixels: np.ndarray, device: torch.device) -> Run:
    """The project's own loop, as a member runs it."""
    model = build(options)
    fill_module(model, genesis(options, seed=0))
    training = prepare_training(model, options, device)
    resident = Examples(torch.from_numpy(pixels).to(device))
    return lambda steps: float(train_steps(training, options, resident, steps, seed=0))


def listing(options: GanOptions, pixels: np.ndarray, device: torch.device) -> Run:
    """The usual tutorial loop: a data loader, every batch copied over, both losses read back in every step."""
    generator, discriminator = Generator(options).to(device), Discriminator(options).to(device)
    for module in [*generator.modules(), *discriminator.modules()]:
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02)
    betas = (options.beta1, options.beta2)
    generator_adam = torch.optim.Adam(generator.parameters(), options.generator_rate, betas)
    discriminator_adam = torch.optim.Adam(
        discriminator.parameters(), options.discriminator_rate, betas
    )
    pictures = torch.utils.data.TensorDataset(to_pictures(torch.from_numpy(pixels)))
    loader = torch.utils.data.DataLoader(pictures, options.batch, shuffle=True, drop_last=True)
    criterion = nn.BCEWithLogitsLoss()

    def run(steps: int) -> None:
        losses = []
        while True:
            for (x_real,) in loader:
                if len(losses) == steps:
                    return
                x_real = x_real.to(device)
                ones = torch.ones(len(x_real), device=device)
                zeros = torch.zeros(len(x_real), device=device)

                discriminator.zero_grad()
                loss_real = criterion(discriminator(x_real), ones)
                loss_real.backward()
                x_fake = generator(torch.randn(len(x_real), options.latent, device=device))
                loss_fake = criterion(discriminator(x_fake.detach()), zeros)
                loss_fake.backward()
                discriminator_adam.step()

                generator.zero_grad()
                loss_generator = criterion(discriminator(x_fake), ones)
                loss_generator.backward()
                generator_adam.step()
                losses.append(loss_real.item() + loss_fake.item() + loss_generator.item())

    return run


def compare(runs: list[Run], steps: int) -> list[float]:
    """Median seconds of each run, taken in turns so that a busy moment of the machine meets all of them."""
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
    device: str, arguments: argparse.Namespace, ours_rate: float, listing_rate: float
) -> None:
    print(
        f"DCGAN {arguments.size}x{arguments.size}, batch {arguments.batch}, on {device}; "
        f"median of {REPEATS} x {arguments.steps} steps, random pictures"
    )
    print(f"{'step':10} {'images/s':>10} {'ratio':>7}")
    print(f"{'ours':10} {ours_rate:10.1f} {ours_rate / listing_rate:7.2f}")
    print(f"{'listing':10} {listing_rate:10.1f} {1:7.2f}")
    if arguments.json:
        figures = {
            "device": device,
            "images_per_second": round(ours_rate, 1),
            "listing_images_per_second": round(listing_rate, 1),
        }
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
