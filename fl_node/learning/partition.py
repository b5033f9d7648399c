"""Partitioning of one data set between several members, for experiments. A real node has its own folder of pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fl_node.errors import DataUnusable

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Iid:
    """Every member gets the same share, drawn at random."""


@dataclass(frozen=True, slots=True)
class Dirichlet:
    """Every class is divided in proportions drawn from a Dirichlet distribution.

    `alpha` > 0: a small value makes the parts non-IID, a large one makes them similar.

    Source: Hsu et al. 2019 (arXiv:1909.06335).
    """

    alpha: float


@dataclass(frozen=True, slots=True)
class Classes:
    """The samples, sorted by class, are cut into parts x `count` shards, and every member gets `count` of them.

    Each member therefore has about `count` classes.

    Source: McMahan et al. 2017 (arXiv:1602.05629), section 3.
    """

    count: int


Partition = Iid | Dirichlet | Classes


def parse_partition(text: str) -> Partition:
    """Read `iid`, `dirichlet:ALPHA` or `classes:K`.

    Raises:
        DataUnusable: Another text, ALPHA not above 0, or K below 1.
    """
    kind, _, value = text.partition(":")
    try:
        if text == "iid":
            return Iid()
        if kind == "dirichlet" and 0 < float(value) < float("inf"):
            return Dirichlet(float(value))
        if kind == "classes" and int(value) >= 1:
            return Classes(int(value))
    except ValueError:
        pass
    raise DataUnusable(
        f"partition {text!r}; allowed: iid, dirichlet:ALPHA with ALPHA > 0, classes:K with K >= 1"
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
        DataUnusable: There are fewer samples than parts (or, for `Classes`, than shards).
    """
    shards = parts * rule.count if isinstance(rule, Classes) else parts
    if len(labels_N) < shards:
        raise DataUnusable(f"{len(labels_N)} samples cannot be partitioned into {shards} parts")
    random = np.random.default_rng(seed)
    match rule:
        case Iid():
            chosen = np.array_split(random.permutation(len(labels_N)), parts)
        case Dirichlet(alpha):
            chosen = _fill_empty(_by_dirichlet(labels_N, parts, alpha, random))
        case Classes(count):
            chosen = _by_shards(labels_N, parts, count, random)
    return [np.sort(indices) for indices in chosen]


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


def _fill_empty(parts: list[Indices]) -> list[Indices]:
    """Move one sample of the largest part into each empty part."""
    for number, indices in enumerate(parts):
        if len(indices) == 0:
            largest = max(range(len(parts)), key=lambda other: len(parts[other]))
            parts[number], parts[largest] = parts[largest][:1], parts[largest][1:]
    return parts


def _by_shards(
    labels_N: Indices, parts: int, count: int, random: np.random.Generator
) -> list[Indices]:
    mixed = random.permutation(len(labels_N))
    by_class = mixed[np.argsort(labels_N[mixed], kind="stable")]
    shards = np.array_split(by_class, parts * count)
    order = random.permutation(len(shards))
    return [np.concatenate([shards[i] for i in order[part::parts]]) for part in range(parts)]
