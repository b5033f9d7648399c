"""Private arrays in layers: an algorithm's own beside the learner's, told apart by a prefix."""

from __future__ import annotations

from fl_node.arrays import Array, Arrays, unprefixed


def split_private(private: Arrays | None, prefix: str) -> tuple[Arrays | None, dict[str, Array]]:
    """Part what lies under a prefix from the rest.

    Returns:
        The learner's own arrays, None before the first training; and those under the prefix, without it.
    """
    if private is None:
        return None, {}
    own = {name: array for name, array in private.items() if not name.startswith(prefix)}
    return own, unprefixed(prefix, private)
