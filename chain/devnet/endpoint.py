"""Runs the devnet in a process or a thread: its database, its chain and its HTTP server."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from chain.devnet.blocks import Chain
from chain.devnet.database import Database
from chain.devnet.framing import answer_body
from chain.devnet.http import Front
from chain.devnet.limits import DEFAULT_LIMITS, Limits
from chain.devnet.methods import Methods
from chain.errors import DevnetUnusable
from chain.serving import listening, run_until_signalled, running_in_thread
from chain.types import Address

CHAIN_ID = 31337
PORT = 8545
FUNDS_WEI = 1000 * 10**18


@dataclass(frozen=True, slots=True)
class _Settings:
    database: Path
    host: str
    port: int
    chain_id: int
    fund: Sequence[Address]
    limits: Limits


def serve(
    database: Path,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    chain_id: int = CHAIN_ID,
    fund: Sequence[Address] = (),
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Run the devnet until SIGINT or SIGTERM.

    Args:
        database: The chain's file; created if it does not exist, else its chain continues.
        host: The address to listen on; requests may use it or a loopback name as their `Host`.
        port: The port to listen on; 0 picks a free one.
        fund: Accounts that get 1000 ether if they have less.
        on_ready: Called with the URL as soon as the devnet answers requests; the default prints one line of JSON
            with `url` and `chain_id`.

    Raises:
        DevnetUnusable: The database is in use, the chain in it has another id, or the port is taken.
    """
    announce = on_ready or (lambda url: _announce(url, chain_id))
    settings = _Settings(database, host, port, chain_id, fund, DEFAULT_LIMITS)

    run_until_signalled(partial(_run, settings), announce)


@contextmanager
def devnet_in_thread(
    database: Path,
    *,
    port: int = 0,
    chain_id: int = CHAIN_ID,
    fund: Sequence[Address] = (),
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[str]:
    """Run the devnet in a thread, by default on a free port; yields its URL. For tests.

    Raises:
        DevnetUnusable: As for `serve`.
    """
    settings = _Settings(database, "127.0.0.1", port, chain_id, fund, limits)
    with running_in_thread(partial(_run, settings), "devnet") as url:
        yield url


async def _run(settings: _Settings, announce: Callable[[str], None], stop: asyncio.Event) -> None:
    """Answer requests until `stop`. py-evm is not thread-safe, so one thread runs all of it."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, "devnet-chain") as executor:
        store = await loop.run_in_executor(executor, Database, settings.database)
        try:
            methods = await loop.run_in_executor(executor, _prepare, store, settings)

            async def answer(body: bytes) -> bytes:
                return await loop.run_in_executor(executor, answer_body, methods, body)

            front = Front(answer, settings.host, settings.limits)
            async with listening(front, settings.host, settings.port, DevnetUnusable) as url:
                announce(url)
                await stop.wait()
        finally:
            await loop.run_in_executor(executor, store.close)


def _prepare(database: Database, settings: _Settings) -> Methods:
    chain = Chain(database, settings.chain_id, settings.limits)
    for address in settings.fund:
        raw = bytes.fromhex(address[2:])
        if chain.state_at(chain.head).get_balance(raw) < FUNDS_WEI:
            chain.raise_balance(raw, FUNDS_WEI)
    return Methods(chain)


def _announce(url: str, chain_id: int) -> None:
    sys.stdout.write(json.dumps({"url": url, "chain_id": chain_id}) + "\n")
    sys.stdout.flush()
