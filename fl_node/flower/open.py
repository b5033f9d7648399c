"""Opens a Flower app inside the child process: the two functions that the child looks up for the kind `flower`."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from chain.text import shown
from fl_node.arrays import Array, Arrays
from fl_node.child.setup import Setup
from fl_node.errors import CodeRefused
from fl_node.flower.app import Config, parse_node_config, project_of, run_config
from fl_node.learner import Learner

FLOWER: Final = "1.42"
INSTALL: Final = 'pip install "ganchor[flower]"'


def open_learner(setup: Setup, genesis: Arrays) -> Learner:
    """Open the ClientApp that `setup.entry` names.

    Its code can be imported already; `setup.data` is its node's configuration, in which `partition-id` and
    `num-partitions` are this member's part unless it says something else.

    Raises:
        CodeRefused: Flower is missing, the entry is no ClientApp or cannot train, or its configuration and the
            manifest's do not go together.
    """
    app = _client_app(setup.entry)
    from fl_node.flower.learner import FlowerAppLearner

    part: Config = {"partition-id": setup.index, "num-partitions": setup.count}
    node = {**part, **parse_node_config(setup.data)}
    run = run_config(project_of(setup.entry), setup.knobs)
    return FlowerAppLearner(app, setup, genesis, run, node)


def build_genesis(setup: Setup) -> dict[str, Array]:
    """Make the model that a task starts from with the callable that `setup.genesis` names.

    Raises:
        CodeRefused: Flower is missing, the app cannot train, or the callable is missing, raises an error or gives no
            model.
    """
    if not setup.genesis:
        raise CodeRefused(
            "a Flower app does not say what its model starts from: write a callable in learner.genesis, "
            'such as "app.task:Net", or a safetensors file'
        )
    app = _client_app(setup.entry)
    from fl_node.flower.genesis import arrays_from
    from fl_node.flower.inner import form_of
    from fl_node.flower.learner import seed_everything, verify_trains

    verify_trains(app, setup.entry)
    make = _named(setup.genesis)
    seed_everything(setup.seed, setup.threads)
    try:
        made = make()
    except (Exception, SystemExit) as error:
        raise CodeRefused(f"{setup.genesis}: raised {_said(error)}") from None
    return arrays_from(made, form_of(app).positional)


def _client_app(entry: str) -> Any:
    _verify_flower()
    from flwr.clientapp import ClientApp

    app = _named(entry)
    if not isinstance(app, ClientApp):
        raise CodeRefused(f"{entry}: is {shown(type(app).__name__)}, expected a Flower ClientApp")
    return app


def _verify_flower() -> None:
    try:
        found = version("flwr")
    except PackageNotFoundError:
        raise CodeRefused(f"Flower is not installed here: {INSTALL}") from None
    if not found.startswith(f"{FLOWER}."):
        raise CodeRefused(f"Flower {found} is installed here, and {FLOWER} is expected: {INSTALL}")


def _named(reference: str) -> Any:
    """What `module:name` names."""
    module, _, name = reference.partition(":")
    try:
        found = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        return found
    except (Exception, SystemExit) as error:
        raise CodeRefused(f"{reference}: cannot be imported: {_said(error)}") from None


def _said(error: BaseException) -> str:
    return shown(f"{type(error).__name__}: {error}")
