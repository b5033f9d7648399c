"""The loop: alternate steps of discriminator and generator on one device, with no wait for it inside a step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from fl_node.errors import TrainingDiverged
from fl_node.learner import Progress, no_progress
from fl_node.learning.losses import (
    compares_with_real,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
)
from fl_node.learning.options import GanOptions
from fl_node.learning.tensors import module_tensors
from fl_node.seeds import derive_seed

REPORTS = 20
"""Progress reports in a round; each waits for the device once."""


@dataclass(frozen=True, slots=True)
class Training:
    """A model and its two optimisers, on one device."""

    model: nn.ModuleDict
    generator_adam: torch.optim.Adam
    discriminator_adam: torch.optim.Adam


def prepare_training(model: nn.ModuleDict, options: GanOptions, device: torch.device) -> Training:
    """Put a model on the device, in the memory layout that is fast there, and give it fresh optimisers."""
    layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
    model.to(device, memory_format=layout)

    def adam(module: nn.Module, rate: float) -> torch.optim.Adam:
        betas = (options.beta1, options.beta2)
        return torch.optim.Adam(
            module.parameters(), rate, betas, fused=device.type in {"cuda", "cpu"}
        )

    return Training(
        model,
        adam(model["generator"], options.generator_rate),
        adam(model["discriminator"], options.discriminator_rate),
    )


def train_steps(
    training: Training,
    options: GanOptions,
    pixels_NCHW: Tensor,
    steps: int,
    seed: int,
    progress: Progress = no_progress,
) -> float:
    """Take optimiser steps, in place.

    Args:
        training: Changed.
        options: Loss, batch, penalty, average.
        pixels_NCHW: uint8, on the device; at least one picture.
        steps: > 0.
        seed: Every random choice follows from it.
        progress: Told the mean losses since its last call.

    Returns:
        Mean over the steps of discriminator loss plus generator loss, without the penalty.

    Raises:
        TrainingDiverged: A loss is no longer finite.
    """
    # Set up: everything the steps need is on the device before the first one.
    device = pixels_NCHW.device
    generator, discriminator = training.model["generator"], training.model["discriminator"]
    random = torch.Generator(device).manual_seed(seed)
    batches = draw_batches(len(pixels_NCHW), options.batch, derive_seed(seed, "batches"), device)
    average = _averager(training.model, options)
    sums = torch.zeros(2, device=device)
    reported, reported_at, report_every = torch.zeros(2), 0, max(1, steps // REPORTS)

    for step in range(1, steps + 1):
        # Draw.
        x_real = to_pictures(pixels_NCHW[next(batches)])
        z_NZ = torch.randn(len(x_real), options.latent, device=device, generator=random)

        # Discriminator.
        with _autocast(device):
            x_fake = generator(z_NZ)
            loss, objective = _discriminator_objective(discriminator, options, x_real, x_fake)
        training.discriminator_adam.zero_grad()
        objective.backward(inputs=list(discriminator.parameters()))
        training.discriminator_adam.step()
        sums[0] += loss.detach()

        # Generator, against the discriminator that has just learnt; the same fakes serve both.
        with _autocast(device):
            real_logits = None
            if compares_with_real(options.loss):
                with torch.no_grad():
                    real_logits = discriminator(x_real).float()
            loss = generator_loss(options.loss, real_logits, discriminator(x_fake).float())
        training.generator_adam.zero_grad()
        loss.backward(inputs=list(generator.parameters()))
        training.generator_adam.step()
        sums[1] += loss.detach()
        average()

        # Report, now and then.
        if step % report_every == 0 or step == steps:
            total = _finite(sums, step)
            mean = ((total - reported) / (step - reported_at)).tolist()
            reported, reported_at = total, step
            progress(step, steps, {"discriminator": mean[0], "generator": mean[1]})

    return reported.sum().item() / steps


def draw_batches(count: int, batch: int, seed: int, device: torch.device) -> Iterator[Tensor]:
    """Yield index_N without end: one shuffled pass over the data after the other, cut into equal batches."""
    random = torch.Generator(device).manual_seed(seed)
    left = torch.empty(0, dtype=torch.int64, device=device)
    while True:
        while len(left) < batch:
            left = torch.cat([left, torch.randperm(count, device=device, generator=random)])
        yield left[:batch]
        left = left[batch:]


def to_pictures(pixels_NCHW: Tensor) -> Tensor:
    """uint8 0..255 to float32 -1..1."""
    return pixels_NCHW.float() / 127.5 - 1


def ema_decay(half_life: int) -> float:
    """What is kept of the average in one step, so that a weight counts half after `half_life` steps."""
    return 0.5 ** (1 / half_life)


def _discriminator_objective(
    discriminator: nn.Module, options: GanOptions, x_real: Tensor, x_fake: Tensor
) -> tuple[Tensor, Tensor]:
    """The loss alone, and with the penalties R1 + R2 added: what is minimised."""
    penalised = options.penalty > 0
    x_real = x_real.detach().requires_grad_(penalised)
    x_fake = x_fake.detach().requires_grad_(penalised)
    real_logits, fake_logits = discriminator(x_real).float(), discriminator(x_fake).float()
    loss = discriminator_loss(options.loss, real_logits, fake_logits)
    if not penalised:
        return loss, loss
    penalty = gradient_penalty(real_logits, x_real) + gradient_penalty(fake_logits, x_fake)
    return loss, loss + options.penalty / 2 * penalty


def _averager(model: nn.ModuleDict, options: GanOptions) -> Callable[[], None]:
    if not options.ema_half_life:
        return lambda: None
    averages = list(module_tensors(model["generator_ema"]).values())
    currents = list(module_tensors(model["generator"]).values())
    lerp = get_ema_multi_avg_fn(ema_decay(options.ema_half_life))
    return lambda: lerp(averages, currents, None)


def _autocast(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")


def _finite(sums: Tensor, step: int) -> Tensor:
    total = sums.detach().to("cpu", copy=True)  # On the CPU itself, `sums` goes on changing.
    if not all(map(math.isfinite, total.tolist())):
        raise TrainingDiverged(
            f"the losses are no longer finite at step {step}; lower learning rates may help"
        )
    return total
