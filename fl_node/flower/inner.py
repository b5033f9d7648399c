"""Everything of Flower that its public modules do not offer, in one file: what a new version may break, it breaks here.

- `TaskIdentity` (flwr.supercore.task_identity): `Message(...)` reads the run, the node and the task from it, and raises
  an error where nobody has set it. Flower's own processes set it before they call an app; here the learner does.
- `_registered_funcs` and `_call` of a `ClientApp`: there is no public way to ask an app which functions it has, and a
  missing one should be found before a round begins.
- The names of the records that an app made with `client_fn` reads and writes (flwr.compat.common.recorddict_compat):
  such an app knows a `NumPyClient`, and no messages.

The pin `flwr>=1.42,<1.43` exists because of this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flwr.app import Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.supercore.task_identity import TaskIdentity

SUPERLINK: Final = 1
"""The node id of whoever sends the instructions, as in a federation with a server."""


@dataclass(frozen=True, slots=True)
class Form:
    """How the messages of one kind of app look.

    Attributes:
        arrays, config: The keys of an instruction's two records; `{}` stands for what is asked for.
        positional: Whether the app knows its tensors by position instead of by name.
        examples: The key of the number of examples in a reply.
    """

    arrays: str
    config: str
    positional: bool
    examples: str


MESSAGES: Final = Form("arrays", "config", False, "num-examples")
"""What Flower's strategies send, unless somebody renames their records."""

CLIENT_FN: Final = Form("{}ins.parameters", "{}ins.config", True, "num_examples")
"""What an app made with `ClientApp(client_fn=...)` understands."""

_LEGACY_WORDS: Final = {"train": "fit", "evaluate": "evaluate"}

NOT_IMPLEMENTED: Final = frozenset({3, 4})
"""The codes with which a `NumPyClient` says that it has no `fit` or no `evaluate`."""


def instruction(content: RecordDict, asked: str, run: int, node: int) -> Message:
    """The message in which a server would ask a node to `train` or to `evaluate`; from now on this process is the node.

    Args:
        content: The records.
        asked: `train` or `evaluate`.
        run, node: Their numbers, 0 to 2**63 - 1.
    """
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, run, SUPERLINK
    message = Message(content, node, asked)
    TaskIdentity.node_id = node
    return message


def form_of(app: ClientApp) -> Form:
    """How the app's messages look."""
    return MESSAGES if app._call is None else CLIENT_FN


def registered(app: ClientApp) -> list[str]:
    """The functions of an app, such as `train.default`; for an app made with `client_fn`, both it might have."""
    if app._call is not None:
        return ["evaluate.default", "train.default"]
    return sorted(app._registered_funcs)


def keys_for(form: Form, asked: str) -> tuple[str, str]:
    """The keys of the arrays' and the configuration's record in an instruction to `train` or to `evaluate`."""
    word = _LEGACY_WORDS[asked]
    return form.arrays.format(word), form.config.format(word)
