"""How a member trains a GAN: a step of the discriminator, then one of the generator, again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from fl_node.learning.averages import averaging
from fl_node.learning.drift import SecondStream, Terms
from fl_node.learning.gan.evaluation import held_out_loss
from fl_node.learning.gan.losses import (
    compares_with_real,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
)
from fl_node.learning.gan.models import Discriminator, build
from fl_node.learning.gan.options import GanOptions
from fl_node.learning.optimisers import adam, set_knobs
from fl_node.learning.pictures import PictureLearner
from fl_node.learning.steps import Batch, Features, Pictures, Step, Training, autocast

GENERATOR, DISCRIMINATOR = "generator", "discriminator"
"""The names of networks, optimisers and losses."""


class Gan(PictureLearner):
    """A generator and a discriminator, each with its own Adam."""

    rates = ("generator_rate", "discriminator_rate")
    losses = (DISCRIMINATOR, GENERATOR)  # The discriminator's is without the penalty.
    opponent = DISCRIMINATOR

    def build(self, options: GanOptions) -> nn.ModuleDict:
        """Generator, discriminator, and the generator's average if one is kept."""
        return build(options)

    def optimisers(self, model: nn.ModuleDict, options: GanOptions) -> dict[str, Optimizer]:
        """An Adam for each of the two networks."""
        knobs = _knobs(options)
        return {name: adam(model[name].parameters(), **knobs[name]) for name in knobs}

    def tune(self, optimisers: Mapping[str, Optimizer], options: GanOptions) -> None:
        """Set rates and betas for a round."""
        for name, knobs in _knobs(options).items():
            set_knobs(optimisers[name], **knobs)

    def draw(self, options: GanOptions, random: torch.Generator) -> dict[str, Tensor]:
        """The z of one step, from which the generator makes its pictures."""
        return {"z_NZ": torch.randn(options.batch, options.latent, generator=random)}

    def features(self, model: nn.ModuleDict) -> Features:
        """The discriminator's last hidden layer."""
        return model[DISCRIMINATOR].features

    def held_out_loss(
        self, options: GanOptions, model: nn.ModuleDict, held_out: Pictures, seed: int
    ) -> float:
        """The kernel inception distance between samples and held-out pictures."""
        return held_out_loss(options, model, held_out, seed)

    def step(self, training: Training, options: GanOptions, terms: Terms) -> Step:
        """One step of the discriminator, then one of the generator against the updated discriminator.

        The generator follows the mean over its own discriminator and its opponents, those of other members, as in
        UA-GAN (Zhang et al. 2021, arXiv:2102.04655) and MD-GAN (Hardy et al. 2019, arXiv:1811.03850). The generator's
        loss that is returned is that of its own discriminator, since nobody vouches for the others'.

        A second stream's term is added to the discriminator's loss, because the discriminator is the network that sees
        the pictures, and the generator learns from its features.
        """
        generator, discriminator = training.model[GENERATOR], training.model[DISCRIMINATOR]
        generator_adam = training.optimisers[GENERATOR]
        discriminator_adam = training.optimisers[DISCRIMINATOR]
        move_average = averaging(training.model, GENERATOR, options.ema_half_life)

        def take(batch: Batch) -> dict[str, Tensor]:
            x_real, device = batch.x_NCHW, batch.x_NCHW.device
            # The fake pictures have the real ones' classes: so a class is as frequent among both, and a pair that the
            # relativistic loss compares is of one class.
            labels_N = batch.labels_N if options.classes else None
            with autocast(device):
                x_fake = generator(batch.drawn["z_NZ"], labels_N).float()

            # Discriminator.
            first_loss, objective = _discriminator_objective(
                discriminator, options, x_real, x_fake, labels_N, terms.second
            )
            discriminator_adam.zero_grad()
            objective.backward(inputs=list(discriminator.parameters()))
            discriminator_adam.step()

            # Generator, against the updated discriminator; both use the same fake pictures.
            generator_adam.zero_grad()
            x_seen = x_fake.detach().requires_grad_() if terms.opponents else x_fake
            loss, *others = (
                _generator_objective(judge, options, x_real, x_seen, labels_N)
                for judge in (discriminator, *terms.opponents)
            )
            if others:
                slope = _mean_slope([loss, *others], x_seen)
                x_fake.backward(slope, inputs=list(generator.parameters()))
            else:
                loss.backward(inputs=list(generator.parameters()))
            generator_adam.step()
            move_average()
            return {DISCRIMINATOR: first_loss.detach(), GENERATOR: loss.detach()}

        return take


def _knobs(options: GanOptions) -> dict[str, dict[str, Any]]:
    betas = (options.beta1, options.beta2)
    return {
        GENERATOR: {"lr": options.generator_rate, "betas": betas},
        DISCRIMINATOR: {"lr": options.discriminator_rate, "betas": betas},
    }


def _discriminator_objective(
    discriminator: Discriminator,
    options: GanOptions,
    x_real: Tensor,
    x_fake: Tensor,
    labels_N: Tensor | None,
    second: SecondStream | None,
) -> tuple[Tensor, Tensor]:
    """The loss alone, and the objective, which adds the penalties R1 + R2 and the second stream's term."""
    passes = _passes(options, x_real, x_fake, labels_N)
    with autocast(x_real.device):
        features = [discriminator.features(x_NCHW) for x_NCHW, _ in passes]
        logits = [
            discriminator.judge(seen, labels_N).float()
            for seen, (_, labels_N) in zip(features, passes, strict=True)
        ]
        extra = None if second is None else second.term(x_real, features[0][: len(x_real)])
    real_logits, fake_logits = torch.cat(logits).chunk(2)
    loss = objective = discriminator_loss(options.loss, real_logits, fake_logits)
    if options.penalty > 0:
        penalties = [
            gradient_penalty(logits_N, x_NCHW)
            for logits_N, (x_NCHW, _) in zip(logits, passes, strict=True)
        ]
        objective = objective + options.penalty * torch.stack(penalties).mean()
    return loss, objective if extra is None else objective + extra


def _passes(
    options: GanOptions, x_real: Tensor, x_fake: Tensor, labels_N: Tensor | None
) -> list[tuple[Tensor, Tensor | None]]:
    """What the discriminator sees in each forward pass, pictures and classes: all at once, in half as many kernels.

    Batch norm sees real and fake pictures in two passes, because their statistics would mix.
    """
    penalised = options.penalty > 0
    if options.norm == "batch":
        return [(x.detach().requires_grad_(penalised), labels_N) for x in (x_real, x_fake)]
    x_both = torch.cat([x_real, x_fake]).detach().requires_grad_(penalised)
    return [(x_both, None if labels_N is None else labels_N.repeat(2))]


def _generator_objective(
    discriminator: nn.Module,
    options: GanOptions,
    x_real: Tensor,
    x_fake: Tensor,
    labels_N: Tensor | None,
) -> Tensor:
    real_logits = None
    if compares_with_real(options.loss):
        # A region of its own: autocast keeps a region's half precision weights, and these would have no gradient.
        with torch.no_grad(), autocast(x_real.device):
            real_logits = discriminator(x_real, labels_N).float()
    with autocast(x_real.device):
        fake_logits = discriminator(x_fake, labels_N).float()
    return generator_loss(options.loss, real_logits, fake_logits)


def _mean_slope(losses: Sequence[Tensor], x_fake: Tensor) -> Tensor:
    """The mean of the losses' slopes at the fake pictures; the first loss is by the member's own discriminator."""
    own, *others = (torch.autograd.grad(loss, x_fake)[0] for loss in losses)
    return torch.stack([own, *(bounded_slope(slope, own) for slope in others)]).mean(dim=0)


def bounded_slope(slope: Tensor, own: Tensor) -> Tensor:
    """An opponent's slope, made no longer than the member's own; 0 if its length is not finite.

    Nobody vouches for an opponent: one that is infinitely steep would otherwise end the training of everybody, and a
    steep one would be the only one that counts.
    """
    length, most = slope.norm(), own.norm()
    share = torch.where(length > most, most / length, torch.ones_like(length))
    return torch.where(length.isfinite(), slope * share, torch.zeros_like(slope))
