"""Photograph the explorer's page of a demo: what docs/pictures/explorer.png shows.

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
from playwright.sync_api import sync_playwright

from chain.connection import connect
from chain.deploy import read_deployment
from chain.devnet import kept_chain
from chain.serving import running_in_thread
from fl_node.blobs.store import open_store
from fl_node.cli.workspace import Workspace
from fl_node.explorer.serving import Site, run

COLOURS = 64
OUT = Path(__file__).resolve().parents[1] / "docs" / "pictures" / "explorer.png"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    place = Workspace(options.workspace)
    deployed = read_deployment(place.deployment)
    site = Site(deployed.chain_id, deployed.address, deployed.block, 1, place.pictures())
    with kept_chain(place.existing_database()) as chain:
        serving = partial(run, site, connect(chain), open_store(place.store, must_exist=True), 0)
        with running_in_thread(serving, "page") as url:
            photograph(url, options.out)


def photograph(url: str, out: Path) -> None:
    """Wait until the page has verified the history, choose the last round, and take its picture."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 900, "height": 900})
        page.goto(url)
        page.wait_for_selector("#verdict.good", timeout=120_000)
        page.locator("#timeline button").last.click()
        page.get_by_role("button", name="aggregate again").click()
        page.wait_for_selector("#again .good")
        page.wait_for_function("[...document.images].every((image) => image.complete)")
        page.screenshot(path=out, full_page=True)
        browser.close()
    Image.open(out).quantize(COLOURS).save(out, optimize=True)


if __name__ == "__main__":
    main()
