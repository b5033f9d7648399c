"""A task's own code, by name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import reduce
from typing import Any

from fl_node.errors import CodeRefused, Misuse
from fl_node.learning.calling import calling, named
from fl_node.learning.torch_learner import TorchLearner


def load(entry: str) -> Callable[[], Any]:
    """The callable that an entry names.

    Args:
        entry: `module:callable`, such as `chest:Chest`; the module is importable.

    Raises:
        CodeRefused: There is no such module, or it raises an error as it is imported.
        Misuse: The module has no such callable.
    """
    module, _, name = entry.partition(":")
    try:
        imported = importlib.import_module(module)
    except (Exception, SystemExit) as trouble:
        raise CodeRefused(f"{module!r} cannot be imported: {named(trouble)}") from trouble
    try:
        found = reduce(getattr, name.split("."), imported)
    except AttributeError:
        raise Misuse(f"{entry!r}: the module {module!r} has no {name!r}") from None
    if not callable(found):
        raise Misuse(f"{entry!r} is a {type(found).__name__}; a class or function is expected")
    return found


def load_learner(entry: str) -> TorchLearner:
    """The learner that an entry makes.

    Raises:
        CodeRefused: As for `load`.
        Misuse: Also if the callable raises an error, or gives no `TorchLearner`.
    """
    make = load(entry)
    with calling(f"{entry}()", Misuse):
        learner = make()
    if not isinstance(learner, TorchLearner):
        raise Misuse(f"{entry}() gave a {type(learner).__name__}; a TorchLearner is expected")
    return learner
