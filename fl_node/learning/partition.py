"""Dealing one data set out to several members, for experiments. A real node has its own folder of pictures."""

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

    `alpha` > 0: small makes members differ, large makes them alike. Source: Hsu et al. 2019 (arXiv:1909.06335).
    """

    alpha: float


@dataclass(frozen=True, slots=True)
class Classes:
    """The samples, sorted by class, are cut into parts x `count` shards; every member gets `count` of them.

    So a member sees about `count` classes. Source: McMahan et al. 2017 (arXiv:1602.05629), section 3.
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
    """Deal samples out: each to exactly one part, no part empty.

    Args:
        rule: How.
        labels_N: Class of every sample.
        parts: > 0.
        seed: 0 to 2**63 - 1.

    Returns:
        For each part the indices of its samples, ascending.

    Raises:
        DataUnusable: Fewer samples than parts (or, for `Classes`, than shards).
    """
    shards = parts * rule.count if isinstance(rule, Classes) else parts
    if len(labels_N) < shards:
        raise DataUnusable(f"{len(labels_N)} samples cannot be dealt out in {shards} shares")
    random = np.random.default_rng(seed)
    match rule:
        case Iid():
            dealt = np.array_split(random.permutation(len(labels_N)), parts)
        case Dirichlet(alpha):
            dealt = _fill_empty(_by_dirichlet(labels_N, parts, alpha, random))
        case Classes(count):
            dealt = _by_shards(labels_N, parts, count, random)
    return [np.sort(indices) for indices in dealt]


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


def _fill_empty(dealt: list[Indices]) -> list[Indices]:
    """Give each empty part one sample of the largest."""
    for number, indices in enumerate(dealt):
        if len(indices) == 0:
            largest = max(range(len(dealt)), key=lambda other: len(dealt[other]))
            dealt[number], dealt[largest] = dealt[largest][:1], dealt[largest][1:]
    return dealt


def _by_shards(
    labels_N: Indices, parts: int, count: int, random: np.random.Generator
) -> list[Indices]:
    mixed = random.permutation(len(labels_N))
    by_class = mixed[np.argsort(labels_N[mixed], kind="stable")]
    shards = np.array_split(by_class, parts * count)
    order = random.permutation(len(shards))
    return [np.concatenate([shards[i] for i in order[part::parts]]) for part in range(parts)]
