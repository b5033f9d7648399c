"""Chains as processes: the package's own devnet, anvil, and hardhat's EDR.

with start_chain("anvil", tmp_path, [address], block_seconds=2) as chain:
    Web3Ledger(chain.url, ...)
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from ports import free_port

HERE = Path(__file__).parent
PROGRAMS = HERE / "node_modules" / ".bin"
NEEDED = "npm install in tests/field brings anvil, hardhat and azurite"
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
CHAIN_ID = 31337
ETHER = 10**18

Kind = Literal["devnet", "anvil", "edr"]


def missing(*kinds: Kind) -> str:
    """Why these chains cannot be started here; empty if they can."""
    programs = {"anvil": "anvil", "edr": "hardhat"}
    wanted = [programs[kind] for kind in kinds if kind in programs]
    there = shutil.which("node") and all((PROGRAMS / name).exists() for name in wanted)
    return "" if there or not wanted else NEEDED


class Chain:
    """A chain's process, which can be killed, held and started again. Only a devnet remembers what it was."""

    def __init__(
        self,
        kind: Kind,
        folder: Path,
        fund: Sequence[str],
        block_seconds: int,
        words: Sequence[str],
    ) -> None:
        self.kind, self.folder = kind, folder
        self.port = free_port()
        self._fund, self._block_seconds, self._words = fund, block_seconds, words
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, wait until it answers, and fund the accounts."""
        log = (self.folder / "chain.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                self._command(),
                stdout=log,
                stderr=log,
                cwd=HERE if self.kind == "edr" else self.folder,
                env={**os.environ, "BLOCK_SECONDS": str(self._block_seconds)},
                start_new_session=True,
            )
        self._wait_until_it_answers()
        if self.kind != "devnet":
            for address in self._fund:
                self.ask("hardhat_setBalance", address, hex(1000 * ETHER))

    def ask(self, method: str, *params: Any) -> Any:
        """Ask the chain itself, past every proxy."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})
        headers = {"Content-Type": "application/json"}
        with DIRECT.open(
            urllib.request.Request(self.url, body.encode(), headers), timeout=60
        ) as one:
            answer = json.load(one)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def send_signal(self, number: signal.Signals) -> None:
        """Signal the chain's process and what it has started."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """End it without a word of warning."""
        if self._process is not None:
            self.send_signal(signal.SIGKILL)
            self._process.wait()

    def _command(self) -> list[str]:
        port = str(self.port)
        match self.kind:
            case "devnet":
                funded = [word for address in self._fund for word in ("--fund", address)]
                database = str(self.folder / "chain.sqlite")
                devnet = (sys.executable, "-m", "fl_node.cli", "devnet")
                return [*devnet, "--port", port, "--database", database, *funded, *self._words]
            case "anvil":
                anvil = (str(PROGRAMS / "anvil"), "--host", "127.0.0.1", "--port", port, "--silent")
                every = ("--block-time", str(self._block_seconds)) * bool(self._block_seconds)
                return [*anvil, *every, *self._words]
            case "edr":
                hardhat = (str(PROGRAMS / "hardhat"), "node", "--hostname", "127.0.0.1")
                return [*hardhat, "--port", port, *self._words]

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                assert int(self.ask("eth_chainId"), 16) == CHAIN_ID
                return
            except OSError:  # also what urllib raises
                assert self._process is not None
                ended = self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    log = (self.folder / "chain.log").read_text(errors="replace")
                    raise AssertionError(f"{self.kind} does not answer: {log}") from None
                time.sleep(0.05)


@contextmanager
def start_chain(
    kind: Kind,
    folder: Path,
    fund: Sequence[str],
    block_seconds: int = 0,
    words: Sequence[str] = (),
) -> Iterator[Chain]:
    """A chain of a kind on a free port, as long as the block lasts.

    Args:
        kind: Which.
        folder: Gets its log, and the devnet's file.
        fund: Addresses that get 1000 ether each.
        block_seconds: Seconds between blocks; 0 makes a block for each transaction. The devnet always does that.
        words: Options of the program's own, such as `--hardfork`.
    """
    chain = Chain(kind, folder, fund, block_seconds, words)
    try:
        chain.start()
        yield chain
    finally:
        chain.kill()
