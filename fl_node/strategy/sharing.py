"""Which tensors of a model match a manifest's patterns, such as those of `strategy.share`."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

from fl_node.arrays import Array, Arrays
from fl_node.errors import ManifestInvalid


def shared_names(
    names: Iterable[str], patterns: Iterable[str], field: str = "strategy.share"
) -> tuple[str, ...]:
    """The names that match at least one pattern, in ascending order.

    Args:
        names: Tensor names, such as `generator.to_picture.weight`.
        patterns: As in `fnmatch`, case-sensitive: `*` any text, `?` one character, `[ab]` one of these.
        field: The manifest's field that has the patterns, for the error.

    Raises:
        ManifestInvalid: A pattern matches nothing.
    """
    names, chosen = tuple(names), set()
    for pattern in patterns:
        matched = {name for name in names if fnmatchcase(name, pattern)}
        if not matched:
            raise ManifestInvalid(
                f"{field}: {pattern!r} matches no tensor; allowed: patterns over "
                f"{', '.join(sorted({name.split('.')[0] + '.*' for name in names}))}"
            )
        chosen |= matched
    return tuple(sorted(chosen))


def shared_part(model: Arrays, patterns: Iterable[str]) -> dict[str, Array]:
    """The arrays of a model that are exchanged.

    Raises:
        ManifestInvalid: A pattern matches nothing.
    """
    return {name: model[name] for name in shared_names(model, patterns)}
