"""What manifest and chain must say alike, and that each difference is named with both sides."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from doubles import MEMBERS, small_manifest

from chain.types import Address, Terms
from fl_node.manifest.agreement import check_agreement

MANIFEST = small_manifest()
OTHER = Address("0x" + "00" * 19 + "44")


def test_a_task_opened_with_its_manifest_agrees():
    assert check_agreement(MANIFEST, MANIFEST.terms(), list(MEMBERS)) == []


@pytest.mark.parametrize("field", [field.name for field in fields(Terms)])
def test_every_term_counts(field):
    other = replace(MANIFEST.terms(), **{field: getattr(MANIFEST.terms(), field) + 1})
    (difference,) = check_agreement(MANIFEST, other, MEMBERS)
    assert difference.what == "terms"
    assert (difference.manifest, difference.chain) == (str(MANIFEST.terms()), str(other))


@pytest.mark.parametrize(
    "members",
    [(), MEMBERS[:2], MEMBERS[1:], (*MEMBERS, OTHER), (*MEMBERS[:2], OTHER), MEMBERS[::-1]],
)
def test_members_are_the_same_in_the_same_order(members):
    (difference,) = check_agreement(MANIFEST, MANIFEST.terms(), members)
    assert difference.what == "members"
    assert str(difference) == (
        f"the manifest's members are {', '.join(MEMBERS)}, those on chain {', '.join(members)}"
    )


def test_both_differences_are_named():
    terms = replace(MANIFEST.terms(), rounds=9)
    found = check_agreement(MANIFEST, terms, MEMBERS[:2])
    assert [difference.what for difference in found] == ["terms", "members"]
