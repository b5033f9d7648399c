"""Slither reads the contract, and nothing that it finds goes by without an answer."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from chain.compile import prepare
from scripts import check_contracts
from scripts.check_contracts import ANSWERS, SlitherFailed, compare, findings

OPEN_PURSE = """\
// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

contract Purse {
    function empty(address payable to) external {
        to.transfer(address(this).balance);
    }
}
"""


def test_all_answers_and_nothing_else_is_as_it_should_be() -> None:
    assert compare(dict.fromkeys(ANSWERS, "")) == []


def test_a_finding_without_an_answer_is_a_complaint() -> None:
    found = dict.fromkeys(ANSWERS, "") | {("arbitrary-send-eth", "empty"): "sends eth to anybody"}
    assert compare(found) == ["('arbitrary-send-eth', 'empty'): sends eth to anybody"]


def test_so_is_an_answer_that_nothing_asks_for() -> None:
    [first, *others] = ANSWERS
    [complaint] = compare(dict.fromkeys(others, ""))
    assert str(first) in complaint


@pytest.mark.slow
def test_slither_finds_an_open_purse() -> None:
    workbench = prepare(check_contracts.ROOT)
    purse = dataclasses.replace(workbench, sources={"contracts/Purse.sol": OPEN_PURSE})
    assert ("arbitrary-send-eth", "empty") in findings(purse)


@pytest.mark.slow
def test_what_does_not_compile_is_a_failure_and_not_clean() -> None:
    workbench = prepare(check_contracts.ROOT)
    broken = dataclasses.replace(workbench, sources={"contracts/Purse.sol": "contract Purse {"})
    with pytest.raises(SlitherFailed):
        findings(broken)


@pytest.mark.slow
def test_a_compiler_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    workbench = prepare(check_contracts.ROOT)
    with pytest.raises(SlitherFailed):
        findings(dataclasses.replace(workbench, solc=tmp_path / "solc"))
