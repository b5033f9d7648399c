"""Importing the ledger leaves Python's limit on recursion as it is, whatever libraries do below it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from chain.recursion import recursion_limit

DEEP_JSON = """
import json, sys
limit = sys.getrecursionlimit()
import chain.web3_ledger, chain.devnet, fl_node.cli
assert sys.getrecursionlimit() == limit, sys.getrecursionlimit()
try:
    json.loads("[" * 100_000)
except RecursionError:
    print("refused")
"""


def test_deep_json_raises_instead_of_ending_the_process() -> None:
    command = [sys.executable, "-c", DEEP_JSON]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr


def test_the_limit_holds_within_and_is_put_back() -> None:
    before = sys.getrecursionlimit()
    with recursion_limit(before + 500):
        assert sys.getrecursionlimit() == before + 500
    assert sys.getrecursionlimit() == before


def test_it_is_put_back_after_an_exception_and_whoever_changed_it() -> None:
    before = sys.getrecursionlimit()
    with pytest.raises(ValueError, match="within"), recursion_limit():
        sys.setrecursionlimit(before + 500)
        raise ValueError("within")
    assert sys.getrecursionlimit() == before
