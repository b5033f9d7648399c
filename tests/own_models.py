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
from torch.utils.data import Dataset

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


class Streamed(Prices):
    """The same prices, read from a dataset; example number 149 of `broken` ones cannot be read."""

    def data(self, uri: str, knobs: Mapping[str, Any]) -> Any:
        inputs, prices = super().data(uri.removeprefix("broken "), knobs)
        return Rows(inputs, prices, 149 if uri.startswith("broken") else -1)


class Rows(Dataset[Any]):
    def __init__(self, inputs: np.ndarray, prices: np.ndarray, broken: int) -> None:
        self.inputs, self.prices, self.broken = inputs, prices, broken

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if index == self.broken:
            raise OSError(f"row {index} cannot be read")
        return self.inputs[index], self.prices[index]


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


class Normed(TorchLearner):
    """A model with batch norm, of any precision; its data are a single tensor."""

    def build(self, knobs: Mapping[str, Any]) -> nn.Module:
        parts = {
            "first": nn.Linear(2, 4, bias=False),
            "norm": nn.BatchNorm1d(4),
            "last": nn.Linear(4, 1),
        }
        return nn.ModuleDict(parts).to(getattr(torch, knobs.get("dtype", "float32")))

    def data(self, uri: str, knobs: Mapping[str, Any]) -> Tensor:
        random = torch.Generator().manual_seed(int(uri.partition(":")[0]))
        numbers = torch.randn(40, 2, generator=random)
        return numbers.to(getattr(torch, knobs.get("dtype", "float32")))

    def optimisers(self, model: nn.Module, knobs: Mapping[str, Any]) -> dict[str, Optimizer]:
        return {"model": SGD(model.parameters(), lr=0.05, momentum=0.5)}

    def loss(self, model: nn.Module, batch: Tensor) -> Tensor:
        guess = model["last"](model["norm"](model["first"](batch)))
        return (guess.squeeze(1) - batch.prod(dim=1)).square().mean()


class LowRank(TorchLearner):
    """A frozen base with a small change of low rank beside it, which alone is trained and shared."""

    def build(self, knobs: Mapping[str, Any]) -> nn.Module:
        base = nn.Linear(3, 8).requires_grad_(False)
        parts = {"base": base, "down": nn.Linear(3, 1, bias=False), "up": nn.Linear(1, 8)}
        return nn.ModuleDict(parts)

    def data(self, uri: str, knobs: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        inputs = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
        return inputs, np.maximum(inputs.sum(axis=1), 0)

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        inputs, sums = batch
        hidden = model["base"](inputs) + model["up"](model["down"](inputs))
        return F.mse_loss(hidden.sum(dim=1), sums)


class Whole(TorchLearner):
    """What every model below has; each does one thing wrong."""

    def build(self, knobs: Mapping[str, Any]) -> nn.Module:
        return nn.Linear(2, 1)

    def data(self, uri: str, knobs: Mapping[str, Any]) -> Any:
        return torch.ones(20, 2)

    def loss(self, model: nn.Module, batch: Any) -> Any:
        return model(batch).square().mean()


class NoBuild(TorchLearner):
    def data(self, uri: str, knobs: Mapping[str, Any]) -> Any:
        return torch.ones(20, 2)

    def loss(self, model: nn.Module, batch: Any) -> Any:
        return model(batch).mean()


class NoData(TorchLearner):
    def build(self, knobs: Mapping[str, Any]) -> nn.Module:
        return nn.Linear(2, 1)

    def loss(self, model: nn.Module, batch: Any) -> Any:
        return model(batch).mean()


class NoLoss(TorchLearner):
    def build(self, knobs: Mapping[str, Any]) -> nn.Module:
        return nn.Linear(2, 1)


class NoMeasure(NoLoss):
    def training_step(self, model: nn.Module, batch: Any, optimisers: Any) -> Any:
        return {"loss": torch.zeros(())}


class Drawing(Whole):
    def draw(self, count: int) -> torch.Tensor:
        """A helper of the user's, whose name the engine takes for a question of its own."""
        return torch.zeros(count)


class BuildsNoModule(Whole):
    def build(self, knobs: Mapping[str, Any]) -> Any:
        return [1]


class BuildRaises(Whole):
    def build(self, knobs: Mapping[str, Any]) -> Any:
        return nn.Linear(int(knobs["width"]), 1)


class BuildsNothing(Whole):
    def build(self, knobs: Mapping[str, Any]) -> nn.Module:
        return nn.ReLU()


class BuildsInfinity(Whole):
    def build(self, knobs: Mapping[str, Any]) -> nn.Module:
        model = nn.Linear(2, 1)
        nn.init.constant_(model.weight, torch.inf)
        return model


class BuildsBfloat16(Whole):
    def build(self, knobs: Mapping[str, Any]) -> nn.Module:
        return nn.Linear(2, 1).to(torch.bfloat16)


class BuildsEmpty(Whole):
    def build(self, knobs: Mapping[str, Any]) -> nn.Module:
        model = nn.Linear(2, 1)
        model.register_buffer("empty", torch.zeros(0))
        return model


class BuildsReserved(Whole):
    def build(self, knobs: Mapping[str, Any]) -> nn.Module:
        return nn.ModuleDict({"optimiser": nn.Linear(2, 1)})


class OneOptimiser(Whole):
    def optimisers(self, model: nn.Module, knobs: Mapping[str, Any]) -> Any:
        return SGD(model.parameters(), lr=0.1)


class StepGivesLoss(Whole):
    def training_step(self, model: nn.Module, batch: Any, optimisers: Any) -> Any:
        return self.loss(model, batch)


class MeasuresNumber(Whole):
    def measure(self, model: nn.Module, held_out: Iterable[Any]) -> Any:
        return 0.9


class OptimisersRaise(Whole):
    def optimisers(self, model: nn.Module, knobs: Mapping[str, Any]) -> Any:
        return {"model": SGD(model.parameters(), lr=-1)}


class LossRaises(Whole):
    def loss(self, model: nn.Module, batch: Any) -> Any:
        raise ValueError("no such\x1b[2J column\nand more")


class Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class LossIsWordless(Whole):
    def loss(self, model: nn.Module, batch: Any) -> Any:
        raise Wordless


class LossOfExamples(Whole):
    def loss(self, model: nn.Module, batch: Any) -> Any:
        return model(batch).squeeze(1)


class LossIsNumber(Whole):
    def loss(self, model: nn.Module, batch: Any) -> Any:
        return 1.0


class LossOfNothing(Whole):
    def loss(self, model: nn.Module, batch: Any) -> Any:
        return batch.mean()


class LossIsNan(Whole):
    def loss(self, model: nn.Module, batch: Any) -> Any:
        return model(batch).mean() * torch.nan


class StepRaises(Whole):
    def training_step(self, model: nn.Module, batch: Any, optimisers: Any) -> Any:
        return optimisers["generator"]


class StepGivesNothing(Whole):
    def training_step(self, model: nn.Module, batch: Any, optimisers: Any) -> Any:
        return {}


class StepGivesMany(Whole):
    def training_step(self, model: nn.Module, batch: Any, optimisers: Any) -> Any:
        return {"loss": model(batch)}


class StepChangesItsMind(Whole):
    count = 0

    def training_step(self, model: nn.Module, batch: Any, optimisers: Any) -> Any:
        self.count += 1
        return {f"loss {self.count}": torch.zeros(())}


class Replaces(Whole):
    """A buffer that each step puts another tensor in the place of, as modules often do."""

    def build(self, knobs: Mapping[str, Any]) -> nn.Module:
        model = nn.Linear(2, 1)
        model.register_buffer("seen", torch.zeros(2))
        return model

    def loss(self, model: nn.Module, batch: Any) -> Any:
        model.seen = model.seen + batch.sum(dim=0)
        model.bias.data = model.bias.data.clamp(-1, 1)
        return model(batch).square().mean()


class Grows(Whole):
    """Whose second training finds another model than the first."""

    def loss(self, model: nn.Module, batch: Any) -> Any:
        model.register_buffer("seen", batch.clone())
        return model(batch).square().mean()


class MeasureRaises(Whole):
    def measure(self, model: nn.Module, held_out: Iterable[Any]) -> Any:
        return {"accuracy": "high"}


class DataRaises(Whole):
    def data(self, uri: str, knobs: Mapping[str, Any]) -> Any:
        return np.load(uri)


class DataOf(Whole):
    """Data of every form, by name."""

    FORMS: Mapping[str, Any] = {
        "nothing": None,
        "empty": torch.zeros(0, 2),
        "empty tuple": (),
        "uneven": (torch.zeros(20, 2), torch.zeros(19)),
        "number": torch.tensor(3.0),
        "text": ["a", "b", "c", "d"],
        "few": torch.zeros(3, 2),
        "generator": (number for number in range(9)),
    }

    def data(self, uri: str, knobs: Mapping[str, Any]) -> Any:
        return self.FORMS[uri]


class Closure(Whole):
    """Whose optimiser computes its gradients itself."""

    def optimisers(self, model: nn.Module, knobs: Mapping[str, Any]) -> dict[str, Optimizer]:
        return {"model": torch.optim.LBFGS(model.parameters(), max_iter=2)}

    def training_step(self, model: nn.Module, batch: Any, optimisers: Any) -> Any:
        def closure() -> Tensor:
            optimisers["model"].zero_grad()
            loss = self.loss(model, batch)
            loss.backward()
            return loss

        return {"loss": optimisers["model"].step(closure)}


class Tied(Whole):
    """One weight under two names, a mask of truth values, and a parameter that the loss does not reach."""

    def build(self, knobs: Mapping[str, Any]) -> nn.Module:
        model = nn.ModuleDict(
            {"first": nn.Linear(2, 2), "last": nn.Linear(2, 2), "idle": nn.Linear(1, 1)}
        )
        model["last"].weight = model["first"].weight
        model.register_buffer("mask", torch.tensor([True, False]))
        return model

    def loss(self, model: nn.Module, batch: Any) -> Any:
        return (model["last"](model["first"](batch)) * model.mask).square().mean()


def not_a_learner() -> int:
    return 3


def raises() -> int:
    raise OSError("no weights here")


def other_weights() -> dict[str, Tensor]:
    """A state dict that fits `Whole`."""
    return {"weight": torch.full((1, 2), 0.5), "bias": torch.randn(1)}


def wrong_weights() -> nn.Module:
    return nn.Linear(3, 1)
