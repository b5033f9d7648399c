"""docs/verify.md: its blocks run as they stand against a finished task, and say what the page says they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commanding import MEMBERS, Live
from pages import DOCS, ROOT, blocks

from chain.accounts import address_of

PAGE = (DOCS / "verify.md").read_text()

pytestmark = pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("jq")), reason="the page needs curl and jq"
)


def run_page(folder: Path, url: str) -> str:
    """Run all blocks in one shell, in order, in a task's folder; what they print."""
    for script in blocks(PAGE, "py"):
        (folder / script.split()[1].rstrip(":")).write_text(script)
    _, *commands = blocks(PAGE, "sh")  # The first says where everything is.
    # `uv run` is this very environment.
    here = f'set -eu\nrepo={ROOT}\nrpc={url}\nuv() {{ shift; "$@"; }}\n'
    done = subprocess.run(
        ["bash", "-c", here + "\n".join(commands)],
        cwd=folder,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def printed(live: Live) -> str:
    return run_page(live.place.folder, live.url)


def test_code_head_and_model_come_out_as_they_are_on_chain(printed: str, live: Live):
    lines = re.findall(r"^[0-9a-f]{64}(?=  -$|$)", printed, re.MULTILINE)
    code, committed, head, on_chain, computed, final = lines
    assert code == committed
    assert head == on_chain == live.ledger().task_state(live.finished).history_head.hex()
    assert computed == final


def test_every_blob_has_the_digest_that_is_on_chain(printed: str):
    assert printed.count(": OK\n") == 3 + 2 + 4  # the task's own, two models, four updates


def test_an_update_says_whose_it_is(printed: str):
    assert any(f'"client": "{address_of(member)}"' in printed for member in MEMBERS)


def test_a_changed_byte_is_seen(live: Live, tmp_path: Path):
    place = shutil.copytree(live.place.folder, tmp_path / "copy")
    changed = live.reveals()[-1].reveal.update_digest.hex()
    blob = place / "store" / changed[:2] / changed
    content = blob.read_bytes()
    blob.unlink()
    blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert f"store/{changed[:2]}/{changed}: FAILED" in run_page(place, live.url)
