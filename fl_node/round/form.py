"""The form of an update: which tensors it has, and which of them the codecs encode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fl_node.arrays import Array, Arrays
from fl_node.blobs.encoding import difference_schema
from fl_node.blobs.global_state import (
    NOTHING,
    PUBLISHED,
    model_of,
    published_schema,
    state_schema,
)
from fl_node.blobs.tensors import Schema, Spec, schema_of
from fl_node.errors import Misuse, UpdateInvalid
from fl_node.fields import Choice
from fl_node.manifest.manifest import Manifest
from fl_node.strategy.encode import decode_arrays, encoded_schema
from fl_node.strategy.roles import Roles
from fl_node.strategy.train import TRAIN


@dataclass(frozen=True, slots=True)
class Form:
    """Names, shapes and dtypes of the decoded tensors of an update; all are float32.

    Attributes:
        coded: What goes through the codecs: the difference of the weights, and what the training algorithm sends.
        plain: What travels as it is: the difference of the statistics.
        published: What a member shows of its own, as `published.NAME`; as it is, and no difference.
    """

    coded: Schema
    plain: Schema
    published: Schema = field(default_factory=dict)

    def encoded(self, stages: Sequence[Choice]) -> dict[str, Spec]:
        """The schema of an update that travels, which is known before it is read.

        Raises:
            Misuse: Two of its arrays would have the same name.
        """
        encoded = encoded_schema(stages, self.coded)
        for taken in encoded.keys() & self._uncoded.keys():
            raise Misuse(
                f"two arrays of an update would have the name {taken!r}: rename the tensor"
            )
        return {**encoded, **self._uncoded}

    def decode(self, stages: Sequence[Choice], arrays: Arrays, seed: int) -> dict[str, Array]:
        """Decode an update's arrays, to the same bytes on every machine.

        Args:
            stages: The manifest's codecs.
            arrays: Untrusted arrays.
            seed: The seed of the codecs.

        Raises:
            UpdateInvalid: Rule "tensors": names, shapes or dtypes differ from `encoded`.
            BlobMalformed: No encoder writes these contents.
        """
        uncoded = {name: array for name, array in arrays.items() if name in self._uncoded}
        found = schema_of(uncoded)
        for name, spec in self._uncoded.items():
            if found.get(name) != spec:
                raise UpdateInvalid("tensors", f"{name!r}: {spec}", f"{name!r}: {found.get(name)}")
        coded = {name: array for name, array in arrays.items() if name not in uncoded}
        return {**decode_arrays(stages, coded, self.coded, seed), **uncoded}

    @property
    def _uncoded(self) -> Schema:
        return {**self.plain, **self.published}


def update_form(manifest: Manifest, state: Arrays) -> Form:
    """The form of a task's updates.

    Args:
        manifest: Gives the roles, and what the training algorithm sends.
        state: Any global state of the task.
    """
    sent = TRAIN[type(manifest.strategy.train)].slots
    model = schema_of(model_of(state))
    return form_of(model, manifest.roles, sent, published_schema(state))


def state_objection(manifest: Manifest, state: Arrays) -> str | None:
    """Why no round of a task can start from a global state; None if rounds can.

    Args:
        manifest: The task.
        state: An untrusted global state.
    """
    model = schema_of(model_of(state))
    if objection := manifest.roles.objection(model):
        return objection
    weights, published = manifest.roles.only("weight", model), published_schema(state)
    try:
        expected = state_schema(model, manifest.strategy.slots, weights, published)
        update_form(manifest, state).encoded(manifest.strategy.encode.stages)
    except Misuse as refused:
        return str(refused)
    found = schema_of(state)
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            return f"{name!r} is {found.get(name)}; the strategy keeps {expected.get(name)}"
    return None


def form_of(
    model: Schema, roles: Roles, sent: Sequence[str] = (), published: Schema = NOTHING
) -> Form:
    """The form of the updates of a model, without averages, which every aggregator derives, and without constants.

    Args:
        model: The shared model's schema.
        roles: The manifest's.
        sent: Slots whose changes an update carries for each weight, such as `control`.
        published: The tensors that each member publishes, under their names in the model.
    """
    weights = difference_schema(roles.only("weight", model))
    slots = {f"{slot}.{name}": spec for slot in sent for name, spec in weights.items()}
    statistics = difference_schema(roles.only("statistic", model))
    shown = {f"{PUBLISHED}.{name}": spec for name, spec in published.items()}
    return Form(weights | slots, statistics, shown)
