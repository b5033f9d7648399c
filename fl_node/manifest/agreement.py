"""Whether the manifest and what the chain recorded say the same: what members agreed on before training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chain.types import Address, Terms
from fl_node.manifest.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One thing on which manifest and chain differ, and what each says."""

    what: str
    manifest: str
    chain: str

    def __str__(self) -> str:
        return f"the manifest's {self.what} are {self.manifest}, those on chain {self.chain}"


def check_agreement(
    manifest: Manifest, terms: Terms, members: Sequence[Address]
) -> list[Disagreement]:
    """Compare a manifest with the terms and members that its task was opened with.

    Positions in bitmaps follow the members on chain, so that a manifest with others must not be used.
    """
    pairs = (
        ("terms", str(manifest.terms()), str(terms)),
        ("members", ", ".join(manifest.addresses), ", ".join(members)),
    )
    return [Disagreement(*pair) for pair in pairs if pair[1] != pair[2]]
