"""What the explorer's page costs: its weight, when it paints, how fast it verifies, and how large an export is.

Histories of 10 members are played on the in-memory ledger, served over JSON-RPC, and opened in a real Chromium,
through the server of `ganchor explore`. Updates are of a few bytes, so that the log and the page take the time; the
last history has three rounds with updates of 14.3 MB, so that blobs do. "python audit" is the same history audited
by Python, in a process of its own; "export" is what `ganchor export` writes. While the page verifies, nobody watches
the browser: a debugger that is told of each of a thousand requests takes as much time as they do.

    uv run scripts/bench/page.py [--rounds 3 100] [--repeats 3] [--json]

Needs Debian's chromium.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import audit
import history
from long_history import played, served
from playwright.sync_api import BrowserContext, Page, sync_playwright
from rich.console import Console
from rich.table import Table

from chain.connection import connect
from chain.memory_ledger import MemoryLedger
from chain.serving import running_in_thread
from fl_node.blobs.store import Store
from fl_node.bundle.writing import write_bundle
from fl_node.explorer.files import page_file, page_names
from fl_node.explorer.serving import Site, run

MEMBERS = 10
TASK = 1
MEGABYTE = 1e6
PATIENCE = 600_000
"""Milliseconds."""

LOOKS = 3.0
"""Seconds."""

WATCH = """
const seen = { longest_task: 0 };
window.seen = seen;
const note = (name, selector) => {
  if (!(name in seen) && document.querySelector(selector)) seen[name] = performance.now();
};
const look = () => {
  note("drawn", "#timeline tbody tr");
  note("verified", "#verdict.good");
};
new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true });
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) seen.longest_task = Math.max(seen.longest_task, duration);
}).observe({ type: "longtask", buffered: true });
"""
"""Notes, in milliseconds since the page was asked for, when its table was there and when it was verified."""

SCROLL = """
() => new Promise((done) => {
  const table = document.querySelector("#timeline");
  let [frames, before, worst] = [0, performance.now(), 0];
  const step = (now) => {
    worst = Math.max(worst, now - before);
    before = now;
    table.scrollLeft += 60;
    window.scrollBy(0, 10);
    if (++frames < 60) requestAnimationFrame(step);
    else done(worst);
  };
  requestAnimationFrame((now) => { before = now; requestAnimationFrame(step); });
})
"""
"""Scrolls for a second; the longest frame in milliseconds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, nargs="*", default=[3, 100])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    columns: dict[str, dict[str, float]] = {}
    with chromium() as browser:
        for rounds in options.rounds:
            with folder_in_memory() as folder:
                long = played(Path(folder), MEMBERS, rounds)
                columns[f"{rounds} rounds"] = measure(
                    browser, Path(folder), long.ledger, long.store, options.repeats
                )
        with folder_in_memory() as folder:
            ledger, store = audit.history(Path(folder), MEMBERS, 3)
            columns["3 rounds of 14.3 MB"] = measure(
                browser, Path(folder), ledger, store, options.repeats
            )
    print_table(columns, weight(), as_json=options.json)


@contextmanager
def chromium() -> Iterator[str]:
    """A browser without a window; yields where Playwright can connect to it."""
    program = shutil.which("chromium")
    assert program
    with folder_in_memory(may_stay=True) as profile:
        where = [f"--user-data-dir={profile}", "--remote-debugging-port=0"]
        command = [program, "--headless=new", "--no-sandbox", "--window-size=900,900", *where]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            told = Path(profile) / "DevToolsActivePort"
            while not (told.exists() and "\n" in told.read_text()):
                time.sleep(0.1)
            try:
                yield f"http://127.0.0.1:{told.read_text().split()[0]}"
            finally:
                process.terminate()


@contextmanager
def watched(browser: str) -> Iterator[BrowserContext]:
    """The browser's pages, as long as they are watched."""
    with sync_playwright() as playwright:
        connected = playwright.chromium.connect_over_cdp(browser)
        yield connected.contexts[0]
        connected.close()


def folder_in_memory(may_stay: bool = False) -> tempfile.TemporaryDirectory[str]:
    """A folder that goes away; what others still write into it may stay, as processes of a browser that ends do."""
    return tempfile.TemporaryDirectory(dir=history.options_folder(), ignore_cleanup_errors=may_stay)


def weight() -> dict[str, int]:
    """The page's bytes, as they are and as they travel."""
    files = [page_file(name) for name in page_names()]
    return {
        "files": len(files),
        "bytes": sum(map(len, files)),
        "gzipped": sum(len(gzip.compress(content)) for content in files),
    }


def measure(
    browser: str, folder: Path, ledger: MemoryLedger, store: Store, repeats: int
) -> dict[str, float]:
    """Open the page some times, for the medians; then audit and export."""
    blobs = sum(file.stat().st_size for file in (folder / "store").rglob("*") if file.is_file())
    site = Site(ledger.chain_id, ledger.contract, 0, TASK)
    with served(ledger, TASK) as endpoint:
        serving = partial(run, site, connect(endpoint.url), store, 0)
        with running_in_thread(serving, "explorer") as url:
            looks = [opened(browser, url) for _ in range(repeats)]
        python = audited(folder, endpoint.url)
    page = {name: statistics.median(look[name] for look in looks) for name in looks[0]}
    began = time.perf_counter()
    write_bundle(folder / "export.zip", ledger, store, TASK)
    return {
        "events": len(ledger.history(TASK)),
        "blobs_megabytes": round(blobs / MEGABYTE, 3),
        **{name: round(value, 1) for name, value in page.items()},
        "page_megabytes_per_second": rate(blobs, page["verifying_ms"] / 1000),
        "python_audit_ms": round(1000 * python),
        "python_megabytes_per_second": rate(blobs, python),
        "export_ms": round(1000 * (time.perf_counter() - began)),
        "export_megabytes": round((folder / "export.zip").stat().st_size / MEGABYTE, 3),
    }


def rate(blobs: int, seconds: float) -> float:
    return round(blobs / MEGABYTE / seconds, 1)


def opened(browser: str, url: str) -> dict[str, float]:
    """Open the page, look every few seconds whether it has verified all, and scroll; milliseconds."""
    with watched(browser) as pages:
        page = pages.new_page()
        page.add_init_script(WATCH)
        page.goto(url)
        page.wait_for_selector("#timeline tbody tr", timeout=PATIENCE)
    while True:
        time.sleep(LOOKS)
        with watched(browser) as pages:
            page = next(page for page in pages.pages if page.url.startswith(url))
            if page.locator("#verdict.bad").count():
                raise SystemExit(page.locator("#verdict").inner_text())
            if page.locator("#verdict.good").count():
                return measured(page)


def measured(page: Page) -> dict[str, float]:
    seen: dict[str, Any] = page.evaluate("window.seen")
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    worst = page.evaluate(SCROLL)
    page.close()
    return {
        "first_paint_ms": painted,
        "table_drawn_ms": seen["drawn"],
        "verifying_ms": seen["verified"] - seen["drawn"],
        "verified_ms": seen["verified"],
        "longest_task_ms": seen["longest_task"],
        "longest_frame_scrolling_ms": worst,
    }


def audited(folder: Path, url: str) -> float:
    """Python's audit of the same history, over the same endpoint; seconds."""
    command = [sys.executable, history.__file__, "--audit", str(folder), url]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return float(json.loads(said)["audit_seconds"])


def print_table(
    columns: dict[str, dict[str, float]], page: dict[str, int], *, as_json: bool
) -> None:
    title = f"The page: {page['files']} files, {page['bytes']:,} bytes, {page['gzipped']:,} gzipped"
    table = Table(title=title)
    for heading in ("", *columns):
        table.add_column(heading, justify="right")
    for name in next(iter(columns.values())):
        table.add_row(name.replace("_", " "), *(f"{column[name]:g}" for column in columns.values()))
    Console(stderr=as_json).print(table)
    if as_json:
        print(json.dumps({"page": page, **columns}))


if __name__ == "__main__":
    main()
