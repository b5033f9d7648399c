"""What a task's code needs of a machine: libraries, as requirements of PEP 508, and a platform, as a wheel's tags."""

from __future__ import annotations

import math
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from packaging.requirements import InvalidRequirement, Requirement
from packaging.tags import parse_tag, sys_tags
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from fl_node.code.blob import Code
from fl_node.errors import CodeRefused

MAX_VERSION = 64
"""The most characters of a version, printable ASCII."""
_MAX_TAGS = 1000


def parse_requirement(text: str) -> Requirement:
    """Read a requirement such as `torch>=2.6`.

    Raises:
        ValueError: It is none, or it has a marker, a URL or extras: each member must come to the same names.
    """
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        raise ValueError(f"{text[:100]!r} is not a requirement such as 'torch>=2.6'") from None
    if requirement.marker or requirement.url or requirement.extras:
        raise ValueError(f"{text[:100]!r}: a requirement has no marker, URL or extra here")
    return requirement


def required_names(requires: Iterable[str]) -> tuple[str, ...]:
    """The libraries that are required: canonical names, sorted, each once.

    Raises:
        ValueError: As for `parse_requirement`.
    """
    return tuple(sorted({canonicalize_name(parse_requirement(text).name) for text in requires}))


def installed(requires: Iterable[str]) -> dict[str, str]:
    """The versions of the required libraries on this machine, by canonical name.

    Raises:
        CodeRefused: One is missing, or has another version.
        ValueError: As for `parse_requirement`.
    """
    return dict(sorted(map(_installed, map(parse_requirement, requires))))


def _installed(requirement: Requirement) -> tuple[str, str]:
    name = canonicalize_name(requirement.name)
    try:
        found = version(name)
        suits = requirement.specifier.contains(found, prereleases=True)
    except PackageNotFoundError:
        raise CodeRefused(
            f"the task's code needs {requirement}, which is not installed; install it, then start again"
        ) from None
    except InvalidVersion:
        suits = False
    if not suits or len(found) > MAX_VERSION or not (found.isascii() and found.isprintable()):
        raise CodeRefused(
            f"the task's code needs {requirement}; installed is {found[:MAX_VERSION]!r}"
        )
    return name, found


def verify_platform(code: Code) -> None:
    """Check that a wheel suits this machine and this Python; other code suits every machine.

    Raises:
        CodeRefused: It was built for another.
    """
    if not code.tags:
        return
    ours = list(sys_tags())
    if not any(_suits(tag, frozenset(map(str, ours))) for tag in code.tags):
        raise CodeRefused(
            f"the task's code is a wheel built for {code.tags[0][:100]}; this machine is {ours[0]}"
        )


def _suits(tag: str, ours: frozenset[str]) -> bool:
    """A tag can stand for several: `py2.py3-none-any`."""
    if math.prod(part.count(".") + 1 for part in tag.split("-")) > _MAX_TAGS:
        return False
    try:
        return not ours.isdisjoint(map(str, parse_tag(tag)))
    except ValueError:
        return False
