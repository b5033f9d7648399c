"""A member's private arrays belong partly to its learner and partly to an algorithm, whose arrays have a prefix."""

from __future__ import annotations

from fl_node.arrays import Array, Arrays, unprefixed


def split_private(private: Arrays | None, prefix: str) -> tuple[Arrays | None, dict[str, Array]]:
    """Separate the arrays with a prefix from the others.

    Returns:
        The learner's arrays, None before the first training; and the algorithm's arrays, without the prefix.
    """
    if private is None:
        return None, {}
    learners = {name: array for name, array in private.items() if not name.startswith(prefix)}
    return learners, unprefixed(prefix, private)
