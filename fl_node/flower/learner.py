"""A Flower ClientApp as a learner: a message to the app is a piece of training, and its reply is the result.

The app is not changed and notices nothing. It gets what Flower's FedAvg would send: the model under `arrays`, and the
number of the round under `config`. What a ServerApp would send besides, such as `lr`, is a knob of the manifest: the
whole run configuration stands in `config` too. The app's mods run, and its `Context.state` lasts from round to round.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from flwr.app import Array as FlowerArray
from flwr.app import ArrayRecord, ConfigRecord, Context, RecordDict
from flwr.clientapp import ClientApp

from fl_node.arrays import Array, Arrays
from fl_node.child.setup import Setup
from fl_node.errors import CodeRefused, TrainingDiverged, TrainingFailed
from fl_node.flower.app import Config, home_of
from fl_node.flower.inner import form_of, instruction, keys_for, registered
from fl_node.flower.reply import Reply, arrays_of, examples_of, number, one_line, read_reply
from fl_node.flower.state import kept, restored
from fl_node.learner import Assignment, Measured, StepProgress, Trained, no_progress
from fl_node.seeds import derive_seed
from fl_node.strategy.sharing import shared_names

TRAIN, EVALUATE = "train", "evaluate"
STATE_BASE: Final = 64 << 20
"""The state may have this many bytes, and four times the model's."""


class FlowerAppLearner:
    """Asks a ClientApp to train and to evaluate.

    Each call is one step, however many the app takes: Flower does not say.
    """

    def __init__(
        self, app: ClientApp, setup: Setup, genesis: Arrays, run: Config, node: Config
    ) -> None:
        """Take an app into use.

        Args:
            app: Any that can train.
            setup: Gives the seed, the names of the metrics and of the losses, and this member's part.
            genesis: All tensors of the model a task starts from.
            run, node: What the app finds in its context's `run_config` and `node_config`.

        Raises:
            CodeRefused: The app has no function to train with, or knows tensors by position and these have names.
        """
        self._app, self._setup, self._run, self._node = app, setup, run, node
        self._functions, self._form = registered(app), form_of(app)
        verify_trains(app, setup.entry)
        if self._form.positional and not _numbered(genesis):
            raise CodeRefused(
                f"the Flower app {setup.entry} is made with client_fn and knows tensors by their "
                "position alone, but the model's have names: write a callable in learner.genesis"
            )
        # Of the genesis only what never travels is kept, so that the model is not held twice.
        shared = shared_names(genesis, setup.share)
        self._order = tuple(in_order(genesis))
        self._unshared = {name: genesis[name] for name in genesis if name not in shared}
        self._most_state = STATE_BASE + 4 * sum(array.nbytes for array in genesis.values())
        self._home = home_of(setup.entry)
        self._run_id = derive_seed(setup.seed, "flower")
        self._evaluation = derive_seed(setup.seed, "flower", "evaluate")
        self._node_id = derive_seed(setup.seed, "flower", setup.index)

    def steps_for(self, epochs: int) -> int:
        """1: how much a round trains is the app's own matter."""
        return 1

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        """Ask the app to train.

        Raises:
            TrainingFailed: The app raised an error, or its reply cannot be used.
            TrainingDiverged: The reply's tensors or its loss are not finite.
        """
        model = self._whole(assignment.model)
        with one_line(TRAIN, self._home):
            seed_everything(assignment.seed, self._setup.threads)
            context = self._context(assignment.private)
            reply = self._ask(TRAIN, model, assignment.round, context)
            if reply is None:
                raise TrainingFailed("the Flower app has no fit: it cannot train")
            shared = arrays_of(reply, model, self._form.positional)
            trained = Trained(
                shared={name: shared[name] for name in assignment.model},
                private=kept(context.state, self._most_state),
                num_examples=examples_of(reply, self._form.examples),
                steps=1,
                training_loss=self._loss("training", reply),
                metrics=self._metrics(reply),
            )
        progress(1, 1, {"loss": trained.training_loss})
        return trained

    def measure(self, model: Arrays, private: Arrays | None, training: bool = False) -> Measured:
        """Ask the app to evaluate, on whatever data it evaluates on; what it does to its state is not kept.

        Returns:
            Loss 0 and no metrics if the app has no function for it.

        Raises:
            TrainingFailed: The app raised an error, or its reply cannot be used.
            TrainingDiverged: The loss is not finite.
        """
        if "evaluate.default" not in self._functions:
            return Measured(0.0)
        with one_line(EVALUATE, self._home):
            seed_everything(self._evaluation, self._setup.threads)
            # Evaluation has no round of its own: the app sees round 0.
            reply = self._ask(EVALUATE, self._whole(model), 0, self._context(private))
            if reply is None:
                return Measured(0.0)
            return Measured(self._loss("held_out", reply), self._metrics(reply))

    def _ask(self, asked: str, model: Arrays, round: int, context: Context) -> Reply | None:
        arrays, config = keys_for(self._form, asked)
        content = RecordDict(
            {
                arrays: ArrayRecord({name: FlowerArray(model[name]) for name in model}),
                config: ConfigRecord({**self._run, "server-round": round}),
            }
        )
        message = instruction(content, asked, self._run_id, self._node_id)
        return read_reply(asked, self._app(message, context))

    def _context(self, private: Arrays | None) -> Context:
        return Context(
            run_id=self._run_id,
            node_id=self._node_id,
            node_config=dict(self._node),
            state=restored(private),
            run_config=dict(self._run),
        )

    def _whole(self, model: Arrays) -> dict[str, Array]:
        """All tensors in the app's order, those that do not travel as the genesis has them."""
        whole = {**self._unshared, **model}
        return {name: whole[name] for name in self._order}

    def _metrics(self, reply: Reply) -> dict[str, float]:
        named = (name for name in self._setup.metrics if name in reply.numbers)
        return {name: number(reply.numbers, name) for name in named}

    def _loss(self, which: str, reply: Reply) -> float:
        name = self._setup.losses.get(which)
        if name is None or name not in reply.numbers:
            return 0.0
        loss = number(reply.numbers, name)
        if not np.isfinite(loss):
            raise TrainingDiverged(f"the Flower app's {name} is {loss}")
        return loss


def verify_trains(app: ClientApp, entry: str) -> None:
    """Check that an app has a function to train with.

    Raises:
        CodeRefused: It has none.
    """
    functions = registered(app)
    if "train.default" not in functions:
        raise CodeRefused(
            f"the Flower app {entry} has no function to train with, @app.train(); "
            f"it has {', '.join(functions) or 'none at all'}"
        )


def in_order(arrays: Arrays) -> dict[str, Array]:
    """Arrays named 0, 1, 2, ..., in this order; others as they are. A blob sorts 10 before 2."""
    if not _numbered(arrays):
        return dict(arrays)
    return {str(place): arrays[str(place)] for place in range(len(arrays))}


def _numbered(arrays: Mapping[str, Any]) -> bool:
    return set(arrays) == {str(place) for place in range(len(arrays))}


def seed_everything(seed: int, threads: int) -> None:
    """Let the same call give the same: seed Python's, NumPy's and torch's chance, and hold torch to so many threads."""
    random.seed(seed)
    np.random.seed(seed & 0xFFFF_FFFF)
    torch = sys.modules.get("torch")  # Only if the app uses it.
    if torch is not None:
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
