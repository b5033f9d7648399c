"""The page in a real browser shows bundles: dropped on it, served by `ganchor explore`, or unpacked on any server."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from browsing import assert_usable, bundle_explorer, needs_axe, needs_browser, tab
from doubles import Federation, federation_in, run
from playwright.sync_api import Browser, Page, expect

from chain.types import UpdateRevealed
from fl_node.blobs.store import open_store
from fl_node.bundle.archive import written_archive
from fl_node.bundle.reading import read_bundle
from fl_node.bundle.writing import write_bundle

pytestmark = [needs_browser, pytest.mark.slow]
VERIFIED = re.compile(r"Verified by this browser: (\d+) of \1 rounds")


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    with tab(chromium, bypass_csp=False) as opened:
        yield opened


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    federation = federation_in(tmp_path_factory.mktemp("played"))
    run(federation)
    return federation


@pytest.fixture
def bundle(played: Federation, tmp_path: Path) -> Path:
    path = tmp_path / "task.zip"
    write_bundle(path, played.ledger, played.store, played.task)
    return path


def head_of(federation: Federation) -> str:
    return federation.ledger.task_state(federation.task).history_head.hex()


def first_update(federation: Federation) -> UpdateRevealed:
    entries = federation.ledger.history(federation.task)
    return next(entry.event for entry in entries if isinstance(entry.event, UpdateRevealed))


def with_a_bit_flipped(bundle: Path, name: str) -> Path:
    with zipfile.ZipFile(bundle) as found:
        files = {one: found.read(one) for one in found.namelist()}
    files[name] = files[name][:-1] + bytes([files[name][-1] ^ 1])
    with written_archive(bundle) as written:
        for one, content in files.items():
            written.add(one, content)
    return bundle


@contextmanager
def static_server(folder: Path) -> Iterator[str]:
    """Any web server: it serves what lies in a folder."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def verified(page: Page, federation: Federation) -> None:
    expect(page.locator("#verdict")).to_have_text(VERIFIED)
    expect(page.locator("#verdict")).to_have_class("verdict good")
    expect(page.locator("#now")).to_contain_text(head_of(federation))
    expect(page.locator("#where")).to_contain_text("from a bundle")
    expect(page.locator("#proves")).to_be_visible()


def test_explore_shows_a_bundle_and_asks_no_chain(
    page: Page, played: Federation, bundle: Path
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with bundle_explorer(bundle) as url:
        page.goto(url)
        verified(page, played)
        page.fill("#head", head_of(played))
        expect(page.locator("#compared")).to_contain_text("The same")
        page.get_by_role("button", name="round 1").click()
        page.get_by_role("button", name="aggregate again").click()
        expect(page.locator("#again")).to_contain_text("✓ the same")
        page.get_by_role("button", name=re.compile("hash the update")).first.click()
        expect(page.locator("#round table .good").first).to_contain_text("with this digest")
    assert asked and all(one.startswith(url) and not one.endswith("/rpc") for one in asked)


def test_explore_shows_one_without_blobs_beside_a_store(
    page: Page, played: Federation, bundle: Path
) -> None:
    write_bundle(bundle, played.ledger, played.store, played.task, with_blobs=False)
    assert read_bundle(bundle).blobs is None
    with bundle_explorer(bundle, open_store(played.folder / "store")) as url:
        page.goto(url)
        verified(page, played)


def test_a_bundle_that_is_dropped_is_shown_instead(
    page: Page, played: Federation, bundle: Path, tmp_path: Path
) -> None:
    running = federation_in(tmp_path / "running")
    other = tmp_path / "running.zip"
    write_bundle(other, running.ledger, running.store, running.task)
    with bundle_explorer(other) as url:
        page.goto(url)
        expect(page.locator("#verdict")).to_contain_text("No round is final yet")
        page.set_input_files("#file", bundle)
        verified(page, played)
        page.get_by_role("button", name="round 1").click()
        page.get_by_role("button", name=re.compile("hash the update")).first.click()
        expect(page.locator("#round table .good").first).to_contain_text("with this digest")


def test_a_dropped_bundle_without_blobs_is_checked_as_far_as_its_log_goes(
    page: Page, played: Federation, bundle: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(bundle) as found:
        found.extractall(tmp_path / "unpacked")
    named = tmp_path / "named.zip"
    write_bundle(named, played.ledger, played.store, played.task, with_blobs=False)
    with static_server(tmp_path / "unpacked") as url:
        page.goto(f"{url}page/")
        verified(page, played)
        page.set_input_files("#file", named)
        expect(page.locator("#verdict")).to_contain_text("Verified by this browser: 0 of")
        expect(page.locator("#verdict")).to_have_class("verdict waiting")
        expect(page.locator("#steps")).to_contain_text("names its blobs and holds none")
        expect(page.locator("#steps .good")).to_have_count(
            4
        )  # A1, A2, A3 and A8, which need no blob


def test_an_unpacked_bundle_shows_itself_on_any_web_server(
    page: Page, played: Federation, bundle: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(bundle) as found:
        found.extractall(tmp_path / "unpacked")
    with static_server(tmp_path / "unpacked") as url:
        page.goto(f"{url}page/index.html")
        verified(page, played)


def test_a_flipped_byte_in_a_blob_turns_its_cell_red(
    page: Page, played: Federation, bundle: Path
) -> None:
    update = first_update(played)
    with_a_bit_flipped(bundle, f"blobs/{update.reveal.update_digest.hex()}")
    with bundle_explorer(bundle) as url:
        page.goto(url)
        expect(page.locator("#verdict")).to_have_class("verdict bad")
        expect(page.locator("#timeline td.bad")).to_have_count(1)
        row = page.locator("#timeline tbody tr", has=page.locator("td.bad"))
        expect(row).to_contain_text(update.client[:8].lower())


def test_other_code_ends_the_audit_and_nothing_of_the_history_is_shown(
    page: Page, played: Federation, bundle: Path
) -> None:
    with_a_bit_flipped(bundle, "code.hex")
    with bundle_explorer(bundle) as url:
        page.goto(url)
        expect(page.locator("#verdict")).to_have_text(
            "Not as recorded: A1: the bundle has other code than the committed contract's",
        )
        expect(page.locator("#verdict")).to_have_class("verdict bad")
        expect(page.locator("#steps")).to_contain_text("A1 found that this is not the contract")
        expect(page.locator(".good")).to_have_count(0)
        expect(page.locator("#timeline td")).to_have_count(0)


def test_what_is_no_bundle_is_said_to_be_none(page: Page, bundle: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.zip"
    cut.write_bytes(bundle.read_bytes()[:-1])
    with bundle_explorer(bundle) as url:
        page.goto(url)
        expect(page.locator("#verdict")).to_have_text(VERIFIED)
        page.set_input_files("#file", cut)
        expect(page.locator("#verdict")).to_contain_text("This is no bundle")
        expect(page.locator("#verdict")).to_have_class("verdict bad")
        expect(page.locator("#steps .good")).to_have_count(0)


def test_a_page_without_a_history_takes_a_bundle(
    page: Page, played: Federation, bundle: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(bundle) as found:
        found.extractall(tmp_path, [name for name in found.namelist() if name.startswith("page/")])
    with static_server(tmp_path / "page") as url:
        page.goto(url)
        expect(page.locator("#verdict")).to_contain_text("Drop a bundle here")
        page.set_input_files("#file", bundle)
        verified(page, played)


def test_opened_as_a_file_it_says_what_it_needs(page: Page, bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as found:
        found.extractall(tmp_path / "unpacked")
    page.goto((tmp_path / "unpacked" / "page" / "index.html").as_uri())
    expect(page.locator("#unserved")).to_contain_text("from a web server only")
    expect(page.locator("#unserved")).to_be_visible()


@needs_axe
@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_keeps_anybody_from_using_it(
    chromium: Browser, played: Federation, bundle: Path, width: int
) -> None:
    with bundle_explorer(bundle) as url, tab(chromium, width=width) as opened:
        opened.goto(url)
        verified(opened, played)
        assert_usable(opened)
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
