"""README.md, "Bring your own model": its own lines, on a real network as the page says.

So `ETH_RPC_URL` is anvil and `GANCHOR_STORE` a bucket of SeaweedFS, in the place of the page's devnet and of a folder.
Each member has a folder of its own, as if it had a machine, and gets from the others what they hand out.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from chains import ETHER, missing, start_chain
from pages import README, blocks
from sklearn.datasets import load_breast_cancer
from stores import missing_seaweedfs, start_seaweedfs

LACKING = missing("anvil") or missing_seaweedfs()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(LACKING), reason=LACKING or "all there"),
]
SECTION = README.split("## Bring your own model\n")[1].split("\n## ")[0]
(LEARNER,) = blocks(SECTION, "python")
(WALK,) = blocks(SECTION, "sh")
KEY, MANIFEST, DEVNET, DEPLOY, OPEN, SHOW, NODE, AUDIT = (
    shlex.split(line, comments=True) for line in WALK.splitlines()
)
MEMBERS = ("alice", "bob", "carol")
ADDRESS, CODE = "0x…", "12ab…"
ROUNDS = 2


@dataclass
class People:
    """Those who walk, each in a folder of its own.

    Attributes:
        folder: Holds their folders.
        env: The variables that each of them sets.
    """

    folder: Path
    env: Mapping[str, str]

    def of(self, name: str) -> Path:
        """Somebody's folder."""
        return self.folder / name

    def start(self, name: str, words: list[str]) -> subprocess.Popen[str]:
        """Begin a line of the page, as somebody's: a line of Alice's is the others' with their own files."""
        assert words[:3] == ["uv", "run", "ganchor"]
        return subprocess.Popen(
            [sys.executable, "-m", "fl_node.cli", *(w.replace("alice", name) for w in words[3:])],
            cwd=self.of(name),
            env={**os.environ, **self.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, name: str, words: list[str]) -> str:
        """Run a line to its end. What it printed."""
        return printed_by(self.start(name, words))


def printed_by(process: subprocess.Popen[str]) -> str:
    """What a command printed, once it has ended well."""
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    return printed


def with_address(words: list[str], addresses: list[str]) -> list[str]:
    """The words, where the option before the placeholder stands once for each address."""
    at = words.index(ADDRESS)
    repeated = [word for address in addresses for word in (words[at - 1], address)]
    return [*words[: at - 1], *repeated, *words[at + 1 :]]


def with_code(words: list[str], digest: str) -> list[str]:
    assert CODE in words
    return [digest if word == CODE else word for word in words]


def write_tables(people: People) -> None:
    """A third of a table of tumours for each: 30 measurements in a row, and whether it was malignant."""
    measurements, benign = load_breast_cancer(return_X_y=True)
    rows = np.column_stack([measurements, 1 - benign])
    for index, name in enumerate(MEMBERS):
        people.of(name).mkdir()
        np.savetxt(people.of(name) / f"{name}.csv", rows[index::3], delimiter=",", fmt="%.6g")


def shorten(manifest: Path) -> None:
    """A manifest may be edited: fewer rounds prove as much here."""
    text = manifest.read_text()
    assert "count = 10" in text
    manifest.write_text(text.replace("count = 10", f"count = {ROUNDS}"))


def test_three_members_with_a_model_of_their_own_on_a_real_network(tmp_path: Path) -> None:
    with (
        start_chain("anvil", tmp_path, []) as chain,
        start_seaweedfs(tmp_path / "server") as store,
    ):
        people = People(
            tmp_path,
            {
                **store.env,
                "ETH_RPC_URL": chain.url,
                "GANCHOR_STORE": store.location,
                "GANCHOR_PASSWORD": "correct horse battery staple",
            },
        )
        write_tables(people)
        keys = [people.start(name, KEY) for name in MEMBERS]
        addresses = [printed_by(key).split()[-1] for key in keys]
        assert DEVNET[3:] == ["devnet", "--fund", ADDRESS, "--fund", ADDRESS]
        for address in addresses:
            chain.ask("hardhat_setBalance", address, hex(ETHER))

        alice = people.of("alice")
        (alice / "tumours.py").write_text(LEARNER)
        people.run("alice", with_address(MANIFEST, addresses[1:]))
        shorten(alice / "task.toml")
        people.run("alice", DEPLOY)
        for name in MEMBERS[1:]:
            shutil.copy(alice / "deployment.json", people.of(name))
        opened = people.run("alice", OPEN)
        code = opened.split("--allow-code ")[1].strip()

        readings = [people.start(name, with_code(SHOW, code)) for name in MEMBERS[1:]]
        assert all(LEARNER in printed_by(reading) for reading in readings)
        nodes = [people.start(name, with_code(NODE, code)) for name in MEMBERS]
        try:
            ends = [printed_by(node) for node in nodes]
        finally:
            for node in nodes:
                node.kill()
                node.wait()
        report = people.run("carol", AUDIT)
    assert "Audit of task 1: clean" in report
    finals = {end.split("final model ")[1].split()[0] for end in ends}
    assert len(finals) == 1
    assert f"round {ROUNDS}: {finals.pop()}" in report
