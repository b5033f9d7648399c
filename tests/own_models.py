"""Models as a user would write them: a regression, a small GAN, and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from fl_node.learning import TorchLearner

OPTIMISERS = {"sgd": SGD, "adam": Adam, "adamw": AdamW, "rmsprop": RMSprop}


class Prices(TorchLearner):
    """Prices of houses, from three numbers. `uri` is a seed and what a house costs at least, such as `1:2.5`."""

    def build(self, knobs: Mapping[str, Any]) -> nn.Module:
        return nn.ModuleDict({"base": nn.Linear(3, 8), "head": nn.Linear(8, 1)})

    def data(self, uri: str, knobs: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        seed, _, least = uri.partition(":")
        inputs = np.random.default_rng(int(seed)).normal(size=(200, 3)).astype(np.float32)
        return inputs, inputs @ np.float32([1, -2, 3]) + np.float32(least or 0)

    def optimisers(self, model: nn.Module, knobs: Mapping[str, Any]) -> dict[str, Optimizer]:
        chosen = OPTIMISERS[knobs.get("optimiser", "sgd")]
        return {"model": chosen(model.parameters(), lr=float(knobs.get("rate", "0.05")))}

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        inputs, prices = batch
        return F.mse_loss(self.prices(model, inputs), prices)

    def measure(self, model: nn.Module, held_out: Iterable[Any]) -> dict[str, float]:
        errors = [(self.prices(model, inputs) - prices).abs() for inputs, prices in held_out]
        return {"error": torch.cat(errors).mean().item()}

    def prices(self, model: nn.Module, inputs: Tensor) -> Tensor:
        return model["head"](torch.relu(model["base"](inputs))).squeeze(1)


def layers(*widths: int) -> nn.Sequential:
    """Linear layers with leaky ReLUs between them."""
    linear = [nn.Linear(before, after) for before, after in pairwise(widths)]
    between = [layer for one in linear for layer in (one, nn.LeakyReLU(0.2))]
    return nn.Sequential(*between[:-1])


class Ring(TorchLearner):
    """A GAN of the points on a circle, with an average of the generator. `uri` is a seed and the circle's radius."""

    LATENT = 4

    def build(self, knobs: Mapping[str, Any]) -> nn.Module:
        width = int(knobs.get("width", 16))
        networks = {
            "generator": layers(self.LATENT, width, width, 2),
            "discriminator": layers(2, width, 1),
        }
        average = layers(self.LATENT, width, width, 2).requires_grad_(False)
        average.load_state_dict(networks["generator"].state_dict())
        return nn.ModuleDict(networks | {"generator_ema": average})

    def data(self, uri: str, knobs: Mapping[str, Any]) -> dict[str, Any]:
        seed, _, radius = uri.partition(":")
        angles = np.random.default_rng(int(seed)).uniform(0, 2 * np.pi, 240)
        points = float(radius or 1) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        return {"points": points.astype(np.float32), "labels": (angles // np.pi).astype(int)}

    def optimisers(self, model: nn.Module, knobs: Mapping[str, Any]) -> dict[str, Optimizer]:
        rate = float(knobs.get("rate", "0.005"))
        names = ("generator", "discriminator")
        return {name: Adam(model[name].parameters(), rate, (0.5, 0.9)) for name in names}

    def training_step(
        self, model: nn.Module, batch: dict[str, Tensor], optimisers: dict[str, Optimizer]
    ) -> dict[str, Tensor]:
        real, judge = batch["points"], model["discriminator"]
        fake = model["generator"](torch.randn(len(real), self.LATENT))

        optimisers["discriminator"].zero_grad()
        worse = F.softplus(-judge(real)).mean() + F.softplus(judge(fake.detach())).mean()
        worse.backward()
        optimisers["discriminator"].step()

        optimisers["generator"].zero_grad()
        better = F.softplus(-judge(fake)).mean()
        better.backward()
        optimisers["generator"].step()

        with torch.no_grad():
            pairs = zip(
                model["generator_ema"].parameters(), model["generator"].parameters(), strict=True
            )
            for average, weight in pairs:
                average.lerp_(weight, 0.05)
        return {"discriminator": worse, "generator": better}

    def measure(self, model: nn.Module, held_out: Iterable[Any]) -> dict[str, float]:
        real = torch.cat([batch["points"] for batch in held_out])
        fake = model["generator_ema"](torch.randn(256, self.LATENT))
        radius = fake.norm(dim=1).mean().item()
        return {"loss": abs(radius - real.norm(dim=1).mean().item()), "radius": radius}
