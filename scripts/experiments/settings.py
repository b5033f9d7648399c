"""The settings of experiments: what is trained, by how many members, on which parts of which data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pictures import CHANNELS

from chain.accounts import to_address
from fl_node.manifest.manifest import Manifest, build_manifest


@dataclass(frozen=True, slots=True)
class Setting:
    """What differs between runs, besides the seed. A result is reused for a setting that is equal in all but `name`.

    Attributes:
        name: The name in the table.
        rounds: Number of rounds.
        learner: The manifest's section.
        strategy: The manifest's section, or a preset's name.
        data: `digits` or `cifar10`.
        pictures, tests: Number of training and of test pictures that are used; None for all.
        size: Pixels on each side.
        members: Number of members between which the data is partitioned.
        partition: The partition rule, as for `--partition`.
        alone: Index of the only member that trains, on its own part; None if all members train.
        values: Other sections of the manifest, such as `limits`, or fields of `rounds`.
        every: Number of rounds between two measurements; the last round is always measured.
        variant: Used by the experiment's own code, such as the name of an attack.
    """

    name: str
    rounds: int
    learner: Mapping[str, Any]
    strategy: str | Mapping[str, Any] = "fedavg"
    data: str = "digits"
    pictures: int | None = None
    tests: int | None = None
    size: int = 32
    members: int = 10
    partition: str = "iid"
    alone: int | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    every: int = 5
    variant: str = ""

    def manifest(self, seed: int) -> Manifest:
        """The manifest, with invented addresses of members.

        Raises:
            ManifestInvalid: A field is wrong.
        """
        count = self.members if self.alone is None else 1
        values = {"data": {}, **self.values}
        rounds = {"count": self.rounds, "cohort_floor": count, "min_updates": min(2, count)}
        return build_manifest(
            {
                **values,
                "name": "experiment",
                "seed": seed,
                "members": [to_address(f"0x{number:040x}") for number in range(1, count + 1)],
                "data": {"channels": CHANNELS[self.data], "size": self.size, **values["data"]},
                "learner": dict(self.learner),
                "strategy": self.strategy,
                "rounds": {**rounds, **values.get("rounds", {})},
            }
        )
