"""Which block holds the head of a bundle, shown by the page in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from browsing import assert_usable, bundle_explorer, needs_axe, needs_browser, tab
from doubles import NOBODY, Federation, played_in
from playwright.sync_api import Browser, Page, expect
from proving import proof_of

from chain.proofs import HeadProof, follow
from fl_node.bundle.writing import write_bundle

pytestmark = [needs_browser, pytest.mark.slow]
VERIFIED = re.compile(r"Verified by this browser: (\d+) of \1 rounds")
AT = "block 1000000 ({}, 2001-09-09 01:46:40 UTC)"


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with tab(chromium) as opened:
        yield opened


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    return played_in(tmp_path_factory.mktemp("played"))


@pytest.fixture(scope="module")
def proof(played: Federation) -> HeadProof:
    head = played.ledger.task_state(played.task).history_head
    return proof_of(played.ledger.contract, played.task, head)


@pytest.fixture(scope="module")
def block(played: Federation, proof: HeadProof) -> str:
    """The hash of the block that holds the head, as somebody wrote it down."""
    return follow(proof, played.ledger.contract, played.task).block.hex()


def bundle_with(played: Federation, path: Path, proof: HeadProof) -> Path:
    write_bundle(path, played.ledger, played.store, played.task, prove=lambda *asked: proof)
    return path


@pytest.fixture(scope="module")
def site(
    played: Federation, proof: HeadProof, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    path = tmp_path_factory.mktemp("proven") / "task.zip"
    with bundle_explorer(bundle_with(played, path, proof)) as url:
        yield url


def expect_line(page: Page, mood: str, words: str) -> None:
    expect(page.locator("#held p")).to_have_count(1)
    expect(page.locator(f"#held .{mood}")).to_contain_text(words)


def expect_verified(page: Page) -> None:
    expect(page.locator("#verdict")).to_have_text(VERIFIED)
    expect(page.locator("#verdict")).to_have_class("verdict good")


def expect_found(page: Page, step: str, words: str) -> None:
    expect(page.locator("#verdict")).to_contain_text(f"Not as recorded: {step}: {words}")
    expect(page.locator("#verdict")).to_have_class("verdict bad")
    row = page.locator("#steps tr", has=page.get_by_role("cell", name=step, exact=True))
    expect(row.locator(".bad")).to_contain_text("found")


def test_a_block_that_nobody_vouched_for_is_not_green(page: Page, site: str, block: str) -> None:
    page.goto(site)
    expect_line(page, "waiting", f"held by {AT.format(block)}, which nobody vouched for here")
    expect(page.locator("#held .good")).to_have_count(0)
    expect_verified(page)


@pytest.mark.parametrize("spelt", ["{}", "0x{}", "  {}\t"])
def test_the_block_that_somebody_trusts_is(page: Page, site: str, block: str, spelt: str) -> None:
    page.goto(site)
    page.fill("#block", spelt.format(block.upper()))
    expect_line(
        page, "good", f"✓ This head is held by {AT.format(block)}, the block that you trust"
    )
    expect_verified(page)


def test_another_block_is_red_until_it_is_taken_back(page: Page, site: str, block: str) -> None:
    page.goto(site)
    expect_verified(page)
    page.fill("#block", "ab" * 32)
    words = "the proof is of another block than the expected one"
    expect_line(page, "bad", f"✗ {words}: expected {'ab' * 32}, got {block}")
    expect_found(page, "A2", words)
    page.fill("#block", "")
    expect_line(page, "waiting", "which nobody vouched for here")
    expect_verified(page)


def test_half_a_hash_is_no_hash(page: Page, site: str, block: str) -> None:
    page.goto(site)
    page.fill("#block", block[:-1])
    expect(page.locator("#held .waiting")).to_have_text(
        ["A block's hash has 64 hex digits.", re.compile("which nobody vouched for here")],
    )
    expect_verified(page)


@pytest.mark.parametrize("name", ["account", "storage", "header"])
def test_a_proof_that_is_tampered_with_proves_nothing(
    page: Page, played: Federation, proof: HeadProof, block: str, tmp_path: Path, name: str
) -> None:
    if name == "header":
        other = replace(proof, header=proof.header[:-1])
    else:
        *nodes, last = getattr(proof, name)
        other = replace(proof, **{name: (*nodes, last[:-1] + bytes([last[-1] ^ 1]))})
    with bundle_explorer(bundle_with(played, tmp_path / "task.zip", other)) as url:
        page.goto(url)
        expect_line(page, "bad", "✗ the proof of the history head does not hold")
        expect_found(page, "A2", "the proof of the history head does not hold")
        page.fill("#block", block)
        expect(page.locator("#held .good")).to_have_count(0)


def test_so_does_the_proof_of_another_contract_or_of_other_code(
    page: Page, played: Federation, tmp_path: Path
) -> None:
    contract, task = played.ledger.contract, played.task
    head = played.ledger.task_state(task).history_head
    elsewhere = bundle_with(played, tmp_path / "other.zip", proof_of(NOBODY, task, head))
    code = proof_of(contract, task, head, code=bytes(32))
    with bundle_explorer(elsewhere) as url:
        page.goto(url)
        expect_found(page, "A2", "the proof of the history head does not hold: the account's path")
        page.set_input_files("#file", bundle_with(played, tmp_path / "code.zip", code))
        expect_found(page, "A1", "in the block that the proof is of, other code lies")


def test_a_bundle_without_a_proof_is_not_asked_about_one(
    page: Page, played: Federation, site: str, tmp_path: Path
) -> None:
    bare = tmp_path / "bare.zip"
    write_bundle(bare, played.ledger, played.store, played.task)
    page.goto(site)
    expect(page.locator("#block")).to_be_visible()
    page.fill("#block", "ab" * 32)
    expect_found(page, "A2", "the proof is of another block")
    page.set_input_files("#file", bare)
    expect_verified(page)
    expect(page.locator("#block")).to_be_hidden()
    expect(page.locator("#held p")).to_have_count(0)


@needs_axe
@pytest.mark.parametrize("block_typed", ["", "ab" * 32])
def test_nothing_keeps_anybody_from_trusting_a_block(
    chromium: Browser, site: str, block_typed: str
) -> None:
    with tab(chromium, width=360) as opened:
        opened.goto(site)
        opened.fill("#block", block_typed)
        expect(opened.locator("#held p")).to_have_count(1)
        assert_usable(opened)
        assert opened.evaluate("document.documentElement.scrollWidth") <= 360
