"""What a model brings to its training. The shipped kinds and users' own models are subclasses of one class.

    class Prices(TorchLearner):
        def build(self, knobs):
            return nn.Linear(8, 1)

        def data(self, uri, knobs):
            table = np.load(uri)
            return table[:, :8].astype("float32"), table[:, 8:].astype("float32")

        def loss(self, model, batch):
            inputs_ND, prices_N1 = batch
            return F.mse_loss(model(inputs_ND), prices_N1)

The engine (`fl_node.learning.learner`) does the rest: it moves the model and its data to the device, draws the batches,
adds the terms of FedProx, SCAFFOLD or Ditto to the gradients, and keeps what is not shared from round to round.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from fl_node.errors import Misuse, TrainingFailed
from fl_node.learner import Measured
from fl_node.learning.calling import as_dict, calling
from fl_node.learning.drift import Terms
from fl_node.learning.examples import Batches, Data, Split
from fl_node.learning.options import Options, OwnOptions
from fl_node.learning.steps import Examples, Features, Step, Training
from fl_node.learning.tensors import all_tensors

RATE = "0.001"
"""The learning rate of a user's model without a knob `rate`."""

LOSS = "loss"
"""The name under which `measure` gives the held-out loss, and a step its only loss."""


class TorchLearner:
    """A model, its data and its training. Subclass it, and write `build`, `data`, and `loss` or `training_step`.

    Every random number of torch, numpy and Python's `random` that a method draws follows from the task's seed. What is
    to survive a round has to be a parameter, a buffer, or an optimiser's state.
    """

    def build(self, knobs: Mapping[str, Any]) -> nn.Module:
        """The model, on the CPU, with the weights that a task starts from.

        Parameters that are not to be trained have `requires_grad` off.

        Args:
            knobs: The manifest's `learner.knobs`. A number with a fraction is text: write `float(knobs["rate"])`.
        """
        raise Misuse(f"{type(self).__name__} has no build(knobs), which gives the model: write it")

    def data(self, uri: str, knobs: Mapping[str, Any]) -> Data | Split:
        """A member's data, on the CPU.

        Args:
            uri: What the member gave as `--data`.
            knobs: As for `build`.

        Returns:
            A tensor or array, or a tuple or dict of them, with the examples along the first dimension; a map-style
            torch dataset, for data that does not fit into memory; or `Split(training, held_out)` of two of these.
            A partition by classes uses a tuple's last element, or a dict's `labels`, if it holds integers.
        """
        raise Misuse(
            f"{type(self).__name__} has no data(uri, knobs), which gives the data: write it"
        )

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """The mean loss of a batch: a scalar, from which gradients reach the parameters.

        Args:
            model: In training mode when it trains, in evaluation mode when it is measured.
            batch: In the form of the data, on the model's device.
        """
        raise Misuse(
            f"{type(self).__name__} has no loss(model, batch): write it, or let measure() give {LOSS!r}"
        )

    def optimisers(self, model: nn.Module, knobs: Mapping[str, Any]) -> dict[str, Optimizer]:
        """The optimisers, of any kind, by name. Each trained parameter belongs to one; by default all to one Adam.

        Args:
            model: On its device.
            knobs: As for `build`; the default reads `rate`.
        """
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        return {"model": Adam(trained, lr=float(knobs.get("rate", RATE)))}

    def training_step(
        self, model: nn.Module, batch: Any, optimisers: dict[str, Optimizer]
    ) -> Mapping[str, Tensor]:
        """Take one step, for example of a generator and a discriminator. By default: lower `loss`.

        Returns:
            The step's losses by name, the same names in each step. Their sum is the training loss.
        """
        with calling("loss()"):
            loss = self.loss(model, batch)
        _verify_loss(loss)
        for optimiser in optimisers.values():
            optimiser.zero_grad()
        loss.backward()
        for optimiser in optimisers.values():
            optimiser.step()
        return {LOSS: loss}

    def measure(self, model: nn.Module, held_out: Iterable[Any]) -> Mapping[str, float]:
        """Numbers that say how good a model is, by name, such as an accuracy. By default none.

        Those that the manifest names in `learner.metrics` travel with each update, and all of these have to be there;
        NaN is one that there is nothing to measure for. One named `loss` is the held-out loss; without it, that is the
        mean of `loss` over the held-out examples.

        Args:
            model: In evaluation mode; no gradients are computed.
            held_out: Batches, always in the same order; they can be read several times.
        """
        return {}

    # What follows are the engine's questions. The shipped kinds answer some of them in their own way.

    recordable: ClassVar[bool] = False
    """Whether the steps are such that a GPU can record them (`fl_node.learning.steps.Step`)."""
    rates: ClassVar[tuple[str, ...]] = ()
    """Names of the options that are rates, which optimisers read in each step."""
    losses: ClassVar[tuple[str, ...]] = ()
    """Names of a step's losses, where they are known before the first step."""
    opponent: ClassVar[str | None] = None
    """The part of the model whose copies from other members a step takes as `Terms.opponents`."""

    def place(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Move a model to the device."""
        return model.to(device)

    def tensors(self, model: nn.Module) -> dict[str, Tensor]:
        """The tensors that are the model, by name."""
        return all_tensors(model)

    def tune(self, optimisers: Mapping[str, Optimizer], options: Options) -> None:
        """Set the optimisers' knobs, such as rates, to those of a round."""

    def draw(self, options: Options, random: torch.Generator) -> dict[str, Tensor]:
        """What one step draws on the CPU beside its batch, by name."""
        return {}

    def features(self, model: nn.Module) -> Features:
        """The function of a batch whose outputs the discrepancy between two models compares."""
        raise Misuse("this learner has no features, which strategy.train = two_stream compares")

    def step(self, training: Training, options: Options, terms: Terms) -> Step:
        """The function that takes one step."""

        def take(batch: Any) -> dict[str, Tensor]:
            with calling("training_step()"):
                given = self.training_step(training.model, batch, training.optimisers)
                losses = as_dict("training_step()", given, '{"loss": loss}')
                values = {name: torch.as_tensor(loss).detach() for name, loss in losses.items()}
            _verify_losses(values)
            return values

        return take

    def measured(
        self, options: OwnOptions, model: nn.Module, examples: Examples, seed: int
    ) -> Measured:
        """Measure a model on some examples; the seed determines what is drawn for it."""
        batches = Batches(examples, options.batch)
        with calling("measure()"), torch.no_grad():
            given = as_dict("measure()", self.measure(model.eval(), batches), '{"accuracy": 0.9}')
            metrics = {name: float(value) for name, value in given.items()}
        for name in options.metrics:
            if name not in metrics:
                given_names = ", ".join(metrics) or "nothing"
                raise TrainingFailed(
                    f"measure() gave no {name!r}, which learner.metrics names; it gave {given_names}"
                )
        loss = metrics[LOSS] if LOSS in metrics else self._mean_loss(model, batches)
        return Measured(loss, metrics)

    @torch.no_grad()
    def _mean_loss(self, model: nn.Module, batches: Batches) -> float:
        """The mean over all examples; only the last batch may count less."""
        total, count = 0.0, len(batches.examples)
        for number, batch in enumerate(batches):
            with calling("loss()"):
                value = float(self.loss(model, batch))
            total += value * min(batches.batch, count - number * batches.batch)
        return total / count


ENGINES_OWN: Final = ("draw", "features", "losses", "measured", "opponent", "place", "rates", "recordable", "step",
                  "tensors", "tune")  # fmt: skip
"""The engine's questions, which only the shipped kinds answer in their own way."""


def verify_written(learner: TorchLearner) -> None:
    """Check that a user's class has what the engine cannot do without, and nothing that the engine would mistake.

    Raises:
        Misuse: A method is missing, or has the name of one of the engine's questions.
    """
    own, base = type(learner), TorchLearner
    for name in ENGINES_OWN:
        if name in vars(learner) or getattr(own, name) is not getattr(base, name):
            raise Misuse(f"{own.__name__}.{name}: the engine calls it by this name; rename yours")
    if own.loss is base.loss and own.training_step is base.training_step:
        raise Misuse(f"{own.__name__} has neither loss() nor training_step(): write one of them")
    if own.loss is base.loss and own.measure is base.measure:
        raise Misuse(
            f'{own.__name__} has no loss() to measure with: write measure(), and let it give "loss"'
        )


def _verify_loss(loss: object) -> None:
    if not isinstance(loss, Tensor):
        raise TrainingFailed(f"loss() gave a {type(loss).__name__}; a scalar tensor is expected")
    if loss.ndim:
        raise TrainingFailed(
            f"loss() gave shape {tuple(loss.shape)}; a scalar is expected: take the mean"
        )
    if not loss.requires_grad:
        raise TrainingFailed(
            "loss() gave a number that no parameter has part in, so nothing can be learnt from it"
        )


def _verify_losses(losses: Mapping[str, Tensor]) -> None:
    if not losses:
        raise TrainingFailed(
            'training_step() gave no losses; a dict is expected, such as {"loss": loss}'
        )
    for name, loss in losses.items():
        if loss.ndim:
            raise TrainingFailed(
                f"training_step() gave {name!r} of shape {tuple(loss.shape)}; a scalar is expected: take the mean"
            )
