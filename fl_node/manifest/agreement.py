"""Whether the manifest agrees with the terms and members that the chain recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chain.types import Address, Terms
from fl_node.manifest.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A difference between manifest and chain, with both values."""

    what: str
    manifest: str
    chain: str

    def __str__(self) -> str:
        return f"the manifest's {self.what} are {self.manifest}, those on chain {self.chain}"


def check_agreement(
    manifest: Manifest, terms: Terms, members: Sequence[Address]
) -> list[Disagreement]:
    """Compare a manifest with the terms and members that its task was opened with.

    Bits in bitmaps follow the order of the members on chain, so a manifest with other members must not be used.
    """
    pairs = (
        ("terms", str(manifest.terms()), str(terms)),
        ("members", ", ".join(manifest.addresses), ", ".join(members)),
    )
    return [Disagreement(*pair) for pair in pairs if pair[1] != pair[2]]
