"""Partitioning of one data set between several members, for experiments. A real node has its own folder of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from fl_node.errors import DataUnusable

Indices = NDArray[np.int64]

MIN_SIZE, ATTEMPTS = 10, 1000
"""Least number of samples in a part of a Dirichlet partition, and how often the partition is drawn at most."""


@dataclass(frozen=True, slots=True)
class Iid:
    """Every member gets the same share, drawn at random."""


@dataclass(frozen=True, slots=True)
class Dirichlet:
    """Every class is divided in proportions drawn from a Dirichlet distribution.

    `alpha` > 0: a small value makes the parts non-IID, a large one makes them similar. All proportions are drawn again
    until every part has at least `min_size` samples, > 0.

    Source: Hsu et al. 2019 (arXiv:1909.06335). Drawing again until every part has 10 samples: NIID-Bench, Li et al.
    2021 (arXiv:2102.02079), whose code also gives nothing more of a class to a part that is already full.
    """

    alpha: float
    min_size: int = MIN_SIZE


@dataclass(frozen=True, slots=True)
class Classes:
    """The samples, sorted by class, are cut into parts x `count` shards, and every member gets `count` of them.

    Each member therefore has about `count` classes.

    Source: McMahan et al. 2017 (arXiv:1602.05629), section 3.
    """

    count: int


Partition = Iid | Dirichlet | Classes


def parse_partition(text: str) -> Partition:
    """Read `iid`, `dirichlet:ALPHA`, `dirichlet:ALPHA:MIN` or `classes:K`.

    Raises:
        DataUnusable: Another text, ALPHA not above 0, or MIN or K below 1.
    """
    try:
        match text.split(":"):
            case ["iid"]:
                return Iid()
            case ["dirichlet", alpha] if 0 < float(alpha) < inf:
                return Dirichlet(float(alpha))
            case ["dirichlet", alpha, least] if 0 < float(alpha) < inf and int(least) >= 1:
                return Dirichlet(float(alpha), int(least))
            case ["classes", count] if int(count) >= 1:
                return Classes(int(count))
    except ValueError:
        pass
    raise DataUnusable(
        f"partition {text!r}; allowed: iid, dirichlet:ALPHA with ALPHA > 0, dirichlet:ALPHA:MIN with MIN >= 1, "
        "classes:K with K >= 1"
    )


def partition(rule: Partition, labels_N: Indices, parts: int, seed: int) -> list[Indices]:
    """Partition samples: each goes to exactly one part, and no part is empty.

    Args:
        rule: The partition rule.
        labels_N: Class of every sample.
        parts: Number of parts, > 0.
        seed: 0 to 2**63 - 1. The same seed gives the same parts.

    Returns:
        For each part the indices of its samples, ascending.

    Raises:
        DataUnusable: There are fewer samples than parts (for `Classes`, than shards), or no Dirichlet partition
            with large enough parts was found in `ATTEMPTS` draws.
    """
    shards = parts * rule.count if isinstance(rule, Classes) else parts
    if len(labels_N) < shards:
        raise DataUnusable(f"{len(labels_N)} samples cannot be partitioned into {shards} parts")
    random = np.random.default_rng(seed)
    match rule:
        case Iid():
            chosen = np.array_split(random.permutation(len(labels_N)), parts)
        case Dirichlet():
            chosen = _large_enough(rule, labels_N, parts, random)
        case Classes(count):
            chosen = _by_shards(labels_N, parts, count, random)
    return [np.sort(indices) for indices in chosen]


def _large_enough(
    rule: Dirichlet, labels_N: Indices, parts: int, random: np.random.Generator
) -> list[Indices]:
    """Draw Dirichlet partitions until every part is large enough."""
    if len(labels_N) >= parts * rule.min_size:
        for _ in range(ATTEMPTS):
            chosen = _by_dirichlet(labels_N, parts, rule.alpha, random)
            if min(len(indices) for indices in chosen) >= rule.min_size:
                return chosen
    raise DataUnusable(
        f"{len(labels_N)} samples: no partition dirichlet:{rule.alpha:g} found that gives each of {parts} parts at "
        f"least {rule.min_size}; allow smaller parts by dirichlet:ALPHA:MIN, or give a larger ALPHA"
    )


def _by_dirichlet(
    labels_N: Indices, parts: int, alpha: float, random: np.random.Generator
) -> list[Indices]:
    shares: list[list[Indices]] = [[] for _ in range(parts)]
    for label in np.unique(labels_N):
        members = random.permutation(np.flatnonzero(labels_N == label))
        proportions = random.dirichlet(np.full(parts, alpha))
        cuts = (np.cumsum(proportions)[:-1] * len(members)).round().astype(np.int64)
        for share, indices in zip(shares, np.split(members, cuts), strict=True):
            share.append(indices)
    return [np.concatenate(share) for share in shares]


def _by_shards(
    labels_N: Indices, parts: int, count: int, random: np.random.Generator
) -> list[Indices]:
    mixed = random.permutation(len(labels_N))
    by_class = mixed[np.argsort(labels_N[mixed], kind="stable")]
    shards = np.array_split(by_class, parts * count)
    order = random.permutation(len(shards))
    return [np.concatenate([shards[i] for i in order[part::parts]]) for part in range(parts)]
