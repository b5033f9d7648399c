"""What witnesses say of a history, shown by the page in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from browsing import (
    Scheme,
    assert_usable,
    bundle_explorer,
    explorer,
    needs_axe,
    needs_browser,
    tab,
)
from commanding import MEMBERS, STRANGER, Live, finished_task
from playwright.sync_api import Browser, Page, expect

from chain.accounts import address_of
from chain.devnet import devnet_in_thread
from chain.history import head_of
from fl_node.blobs.store import open_store
from fl_node.bundle.writing import write_bundle
from fl_node.cli.workspace import Workspace
from fl_node.witness.cosigning import cosign
from fl_node.witness.keys import WitnessKey, witness_key
from fl_node.witness.note import Checkpoint, Note, notes_to_bytes

pytestmark = [needs_browser, pytest.mark.slow]
VERIFIED = "Verified by this browser: 2 of 2 rounds"
ALICE = witness_key("alice.example/witness", bytes(range(32)))
BOB = witness_key("bob.example/witness", bytes(32))
UNSEEN = "none of the given witnesses has cosigned this history"
NO_ED25519 = """
    const refused = async () => { throw new DOMException("no such algorithm", "NotSupportedError"); };
    Object.defineProperty(SubtleCrypto.prototype, "importKey", { value: refused });
"""


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with tab(chromium) as opened:
        yield opened


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A finished task of two members and two rounds, on a chain that runs."""
    place = Workspace(tmp_path_factory.mktemp("witnessed"))
    funded = [address_of(signer) for signer in (*MEMBERS, STRANGER)]
    with devnet_in_thread(place.database, fund=funded) as url:
        task = finished_task(url, place, rounds={"count": 2})
        yield Live(url, place, task, task)


@pytest.fixture(scope="module")
def site(played: Live) -> Iterator[str]:
    with explorer(played, played.finished) as url:
        yield url


@pytest.fixture(scope="module")
def last(played: Live) -> Checkpoint:
    """The point that a witness signs when the task has ended."""
    entries = [*played.ledger().history(played.finished)]
    return point(played, len(entries))


def point(live: Live, events: int) -> Checkpoint:
    ledger = live.ledger()
    seen = [*ledger.history(live.finished)][:events]
    head = head_of(ledger.chain_id, ledger.contract, live.finished, seen)
    return Checkpoint(ledger.chain_id, ledger.contract, live.finished, events, head)


def signed(at: Checkpoint, *keys: WitnessKey) -> Note:
    return Note(at, tuple(cosign(at, key, 1_700_000_000) for key in keys))


def give(page: Page, *keys: WitnessKey, notes: tuple[Note, ...] = ()) -> None:
    page.fill("#keys", "\n".join(str(key.verifier) for key in keys))
    page.fill("#pasted", notes_to_bytes(notes).decode())


def expect_line(page: Page, mood: str, words: str) -> None:
    expect(page.locator(f"#cosigned .{mood}", has_text=words)).to_have_count(1)


def expect_verdict(page: Page, words: str, mood: str) -> None:
    expect(page.locator("#verdict")).to_contain_text(words)
    expect(page.locator("#verdict")).to_have_class(f"verdict {mood}")


def test_who_signed_the_head_is_shown(page: Page, site: str, last: Checkpoint) -> None:
    page.goto(site)
    give(page, ALICE, notes=(signed(last, ALICE),))
    expect_line(
        page,
        "good",
        "✓ cosigned by alice.example/witness at 2023-11-14 22:13:20 UTC: "
        f"event {last.events} of {last.events}, head {last.head.hex()}",
    )
    expect_verdict(page, VERIFIED, "good")
    expect(page.locator("#cosigned p")).to_have_count(1)


def test_an_earlier_head_of_this_history_is_one_of_it(
    page: Page, site: str, played: Live, last: Checkpoint
) -> None:
    page.goto(site)
    give(page, ALICE, notes=(signed(point(played, 3), ALICE),))
    expect_line(page, "good", f"event 3 of {last.events}")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"head": bytes(32)}, "alice.example/witness has cosigned another history"),
        ({"events": 1 << 20}, "alice.example/witness has cosigned another history"),
        ({"task": 7}, "alice.example/witness has cosigned the history of something else"),
    ],
    ids=["another head", "more events", "another task"],
)
def test_another_history_is_red(
    page: Page, site: str, last: Checkpoint, change: dict[str, int | bytes], words: str
) -> None:
    page.goto(site)
    expect_verdict(page, VERIFIED, "good")
    give(page, ALICE, notes=(signed(replace(last, **change), ALICE),))  # type: ignore[arg-type]
    expect_line(page, "bad", words)
    expect_verdict(page, f"Not as recorded: A2: {words}", "bad")
    expect(page.locator("#steps .bad")).to_contain_text("2 found")
    expect(page.locator("#cosigned .good")).to_have_count(0)
    give(page)
    expect_verdict(page, VERIFIED, "good")
    expect(page.locator("#cosigned p")).to_have_count(0)


def test_another_witnesss_key_is_said(page: Page, site: str, last: Checkpoint) -> None:
    page.goto(site)
    give(page, BOB, notes=(signed(last, ALICE),))
    expect_line(page, "bad", f"{UNSEEN}: expected bob.example/witness, got alice.example/witness")
    expect_line(page, "waiting", "Not checked, give its key: cosigned by alice.example/witness")
    expect_verdict(page, f"Not as recorded: A2: {UNSEEN}", "bad")


def test_a_signature_that_nobodys_key_is_given_for_is_not_green(
    page: Page, site: str, last: Checkpoint
) -> None:
    page.goto(site)
    give(page, notes=(signed(last, ALICE),))
    expect_line(page, "waiting", "Not checked, give its key: cosigned by alice.example/witness")
    expect_verdict(page, VERIFIED, "good")
    expect(page.locator("#cosigned .good")).to_have_count(0)


def test_what_cannot_be_read_is_said(page: Page, site: str, last: Checkpoint) -> None:
    page.goto(site)
    page.fill("#keys", f"{ALICE.verifier}"[:-4])
    expect_line(page, "waiting", "Not checked: expected a witness's key, NAME+ID+KEY")
    give(page, ALICE)
    expect_line(page, "waiting", "Not checked: nothing that a witness signed is here")
    page.fill("#pasted", str(signed(last, ALICE)).replace("\n\n", "\n"))
    expect_line(page, "waiting", "Not checked: no cosigned notes")
    expect(page.locator("#cosigned .good")).to_have_count(0)


def test_a_file_is_taken_wherever_it_is_chosen(
    page: Page, site: str, last: Checkpoint, tmp_path: Path
) -> None:
    for name, key in (("alice", ALICE), ("bob", BOB)):
        (tmp_path / name).write_text(str(signed(last, key)))
    page.goto(site)
    expect_verdict(page, VERIFIED, "good")
    give(page, ALICE, BOB)
    page.set_input_files("#file", tmp_path / "alice")
    expect_line(page, "good", "cosigned by alice.example/witness")
    expect(page.locator("#witnesses-title")).to_be_focused()
    page.set_input_files("#signed", [tmp_path / "alice", tmp_path / "bob"])
    expect_line(page, "good", "cosigned by bob.example/witness")
    expect(page.locator("#cosigned .good")).to_have_count(2)


def test_a_browser_without_such_signatures_says_so_and_is_not_green(
    page: Page, site: str, last: Checkpoint
) -> None:
    page.add_init_script(NO_ED25519)
    page.goto(site)
    give(page, ALICE, notes=(signed(last, ALICE),))
    expect_line(page, "waiting", "Not checked: this browser has no Ed25519")
    expect(page.locator("#cosigned p")).to_have_count(1)


def test_what_a_bundle_holds_is_checked_with_a_key_from_elsewhere(
    page: Page, played: Live, last: Checkpoint, tmp_path: Path
) -> None:
    bundle = tmp_path / "task.zip"
    store = open_store(played.place.store)
    notes = [signed(last, ALICE)]
    write_bundle(bundle, played.ledger(), store, played.finished, notes=notes)
    with bundle_explorer(bundle) as url:
        page.goto(url)
        expect_line(page, "waiting", "Not checked, give its key: cosigned by alice")
        give(page, ALICE)
        expect_line(page, "good", "✓ cosigned by alice.example/witness")
        expect_verdict(page, VERIFIED, "good")


def test_the_keys_that_the_server_was_given_stand_in_the_page(
    page: Page, played: Live, last: Checkpoint, tmp_path: Path
) -> None:
    bundle, keys = tmp_path / "task.zip", [str(ALICE.verifier), str(BOB.verifier)]
    notes = [signed(last, ALICE)]
    write_bundle(
        bundle, played.ledger(), open_store(played.place.store), played.finished, notes=notes
    )
    with bundle_explorer(bundle, witnesses=keys) as url:
        page.goto(url)
        expect(page.locator("#keys")).to_have_value("\n".join(keys))
        expect_line(page, "good", "✓ cosigned by alice.example/witness")
    with explorer(played, played.finished, witnesses=keys[:1]) as url:
        page.goto(url)
        expect(page.locator("#keys")).to_have_value(keys[0])
        expect_line(page, "waiting", "Not checked: nothing that a witness signed is here")


def test_what_a_bundle_held_is_forgotten_with_it(
    page: Page, played: Live, last: Checkpoint, tmp_path: Path
) -> None:
    store, ledger = open_store(played.place.store), played.ledger()
    cosigned, bare = tmp_path / "cosigned.zip", tmp_path / "bare.zip"
    write_bundle(cosigned, ledger, store, played.finished, notes=[signed(last, ALICE)])
    write_bundle(bare, ledger, store, played.finished)
    with bundle_explorer(cosigned) as url:
        page.goto(url)
        give(page, ALICE)
        expect_line(page, "good", "✓ cosigned by alice.example/witness")
        page.set_input_files("#file", bare)
        expect_line(page, "waiting", "Not checked: nothing that a witness signed is here")
        expect(page.locator("#cosigned .good")).to_have_count(0)


@needs_axe
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_keeps_anybody_from_reading_it(
    chromium: Browser, site: str, last: Checkpoint, scheme: Scheme
) -> None:
    with tab(chromium, scheme=scheme) as opened:
        opened.goto(site)
        give(opened, ALICE, notes=(signed(last, ALICE, BOB), signed(replace(last, task=7), ALICE)))
        expect(opened.locator("#cosigned p")).to_have_count(3)
        assert_usable(opened)
