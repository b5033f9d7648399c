"""The devnet with another engine: foundry's anvil, if it is installed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from chain.devnet.endpoint import CHAIN_ID, PORT
from chain.errors import DevnetUnusable


def serve_anvil(
    state: Path, *, host: str = "127.0.0.1", port: int = PORT, chain_id: int = CHAIN_ID
) -> None:
    """Replace this process with anvil; never returns.

    Args:
        state: The file that anvil reads at its start, and writes every few seconds and at its end.

    Raises:
        DevnetUnusable: anvil is not installed.
    """
    program = shutil.which("anvil")
    if program is None:
        raise DevnetUnusable(
            "anvil is not on the PATH; install foundry, or use the devnet's own engine"
        )
    os.execv(program, anvil_command(program, state, host, port, chain_id))


def anvil_command(program: str, state: Path, host: str, port: int, chain_id: int) -> list[str]:
    """The command line for a quiet, durable anvil that mines a block per transaction and refuses web pages."""
    options = {"--host": host, "--port": port, "--chain-id": chain_id, "--state": state}
    arguments = [str(part) for option in options.items() for part in option]
    return [program, "--silent", "--no-cors", "--state-interval", "5", *arguments]
