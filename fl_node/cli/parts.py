"""Which pictures each member gets: `node` and `simulate` read `--data`, `--partition` and `--part` the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chain.types import Address
from fl_node.errors import Misuse


@dataclass(frozen=True, slots=True)
class Part:
    """A member's share of a data set: the part's index from 0, the number of parts, and the rule of the partition."""

    rule: str
    index: int
    count: int


WHOLE = Part("iid", 0, 1)


def own_part(
    partition: str | None, part: str | None, member: Address, members: Sequence[Address]
) -> Part:
    """The share of a member: everything or, with `--partition`, by default the part at its position in the manifest.

    Args:
        partition: The value of `--partition`, or None.
        part: The value of `--part`, such as 1/3; None takes the member's position.
        member: One of the members.
        members: In the manifest's order.

    Raises:
        Misuse: `part` has another form, or is given without `partition`.
    """
    if partition is None:
        if part is not None:
            raise Misuse("--part needs --partition, which says how the data is partitioned")
        return WHOLE
    if part is None:
        return Part(partition, members.index(member), len(members))
    index, _, count = part.partition("/")
    digits = all(text.isascii() and text.isdecimal() for text in (index, count))
    if not (digits and 1 <= int(index) <= int(count)):
        raise Misuse(f"--part is {part!r}; allowed: I/N with I from 1 to N, such as 1/3")
    return Part(partition, int(index) - 1, int(count))


def shares_of(
    given: Sequence[str], partition: str | None, members: Sequence[Address]
) -> dict[Address, tuple[str, Part]]:
    """Every member's data set and its part of it, the same that `ganchor node` takes with the same options.

    Args:
        given: The values of `--data`, as for `data_of`.
        partition: The value of `--partition`, or None.
        members: In the manifest's order.

    Raises:
        Misuse: As for `data_of`; or `partition` is given for several data sets.
    """
    if partition is not None and len(given) > 1:
        raise Misuse(
            "--partition needs one data set for all members, but each member has its own --data"
        )
    parts = [own_part(partition, None, member, members) for member in members]
    return dict(zip(members, zip(data_of(given, members), parts, strict=True), strict=True))


def data_of(given: Sequence[str], members: Sequence[Address]) -> list[str]:
    """Each member's data set: the same for all, or one for each member.

    Args:
        given: The values of `--data`: one for all members; or one for each, in the manifest's order or as ADDRESS=DATA.
        members: In the manifest's order.

    Raises:
        Misuse: Their number is another, or an address is not a member's.
    """
    named = dict(text.split("=", 1) for text in given if text[:2].lower() == "0x" and "=" in text)
    if not named:
        if len(given) not in (1, len(members)):
            raise Misuse(
                f"--data is given {len(given)} times; give it once for all, or once for each of {len(members)} members"
            )
        return list(given) * (len(members) if len(given) == 1 else 1)
    by_number = {int(address, 16): data for address, data in named.items()}
    if len(named) < len(given) or by_number.keys() != {int(member, 16) for member in members}:
        raise Misuse(f"--data ADDRESS=DATA: give it once for each of {', '.join(members)}")
    return [by_number[int(member, 16)] for member in members]
