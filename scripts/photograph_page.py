"""Photograph the explorer's page of a demo: explorer.png, timeline.png and round.png of docs/pictures.

    uv run ganchor demo
    uv run scripts/photograph_page.py ganchor-workspace/demo-1

Needs Debian's chromium.
"""

from __future__ import annotations

import argparse
import shutil
from functools import partial
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, Page, sync_playwright

from chain.connection import connect
from chain.deploy import read_deployment
from chain.devnet import kept_chain
from chain.serving import running_in_thread
from fl_node.blobs.store import open_store
from fl_node.cli.workspace import Workspace
from fl_node.explorer.serving import Site, run

COLOURS = 64
OUT = Path(__file__).resolve().parents[1] / "docs" / "pictures"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--out", type=Path, default=OUT, help="the folder of the pictures")
    options = parser.parse_args()
    place = Workspace(options.workspace)
    deployed = read_deployment(place.deployment)
    site = Site(deployed.chain_id, deployed.address, deployed.block, 1, place.pictures())
    with kept_chain(place.existing_database()) as chain:
        serving = partial(run, site, connect(chain), open_store(place.store, must_exist=True), 0)
        with running_in_thread(serving, "page") as url:
            photograph(url, options.out)


def photograph(url: str, out: Path) -> None:
    """Wait until the page has verified the history, and take pictures of its top, its rounds and its last round."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 900, "height": 920})
        page.goto(url)
        page.wait_for_selector("#verdict.good", timeout=300_000)
        page.wait_for_function("[...document.images].every((image) => image.complete)")
        keep(page, out / "explorer.png")
        keep(page.locator("section", has=page.locator("#timeline")), out / "timeline.png")
        page.locator("#timeline thead button").last.click()
        page.get_by_role("button", name="aggregate again").click()
        page.wait_for_selector("#again .good", timeout=120_000)
        keep(page.locator("#round"), out / "round.png")
        browser.close()


def keep(shown: Page | Locator, path: Path) -> None:
    """Save a picture in few colours, so that it is small."""
    shown.screenshot(path=path)
    Image.open(path).quantize(COLOURS).save(path, optimize=True)


if __name__ == "__main__":
    main()
