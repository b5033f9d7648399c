"""What an endpoint and an account are like, for somebody who is about to depend on them."""

from __future__ import annotations

import time
from dataclasses import dataclass

from chain import answers
from chain.connection import Connection, Urls, connect
from chain.newest import NewestBlocks
from chain.text import shown
from chain.types import Address

REQUESTS = 12
"""How many requests a probe sends one after another: about as many as a node sends in a round."""

MAX_CLIENT = 100


@dataclass(frozen=True, slots=True)
class Probe:
    """An endpoint, as it was found.

    Attributes:
        endpoint: Scheme, host and port of its URL.
        chain_id: The chain that it serves (EIP-155).
        client: The name and version that its client gives; empty if it gives none.
        seconds: How long `REQUESTS` requests took, one after another.
        batches: Whether it answers several questions in one request.
        block, block_time: The newest block's number, and its time in seconds since 1970.
    """

    endpoint: str
    chain_id: int
    client: str
    seconds: float
    batches: bool
    block: int
    block_time: int


@dataclass(frozen=True, slots=True)
class Funds:
    """What an account has, and what gas costs, in wei."""

    balance: int
    gas_price: int


def probe(rpc_url: str) -> Probe:
    """Look at an endpoint.

    Raises:
        EndpointInvalid: `rpc_url` is no http:// or https:// URL.
        ChainUnreachable: No chain answers there.
        ChainRefused: It refuses simple questions.
    """
    connection = connect(rpc_url)
    began = time.monotonic()
    for _ in range(REQUESTS):
        block = connection.ask(answers.quantity, "eth_blockNumber")
    seconds = time.monotonic() - began
    newest = NewestBlocks()
    connection.ask_all(newest.all)
    return Probe(
        endpoint=str(connection),
        chain_id=connection.chain_id,
        client=connection.ask(_client, "web3_clientVersion"),
        seconds=seconds,
        batches=connection.takes_batches,
        block=block,
        block_time=newest.latest(connection).timestamp,
    )


def funds_of(rpc_urls: Urls, account: Address) -> Funds:
    """What an account has at the newest block, and the price of gas there. Raises as `probe` does."""
    connection: Connection = connect(rpc_urls)
    return Funds(
        balance=connection.ask(answers.wei, "eth_getBalance", account, "latest"),
        gas_price=connection.ask(answers.wei, "eth_gasPrice"),
    )


def _client(answer: object) -> str:
    """Some endpoints keep their client to themselves."""
    return shown(answer, MAX_CLIENT) if isinstance(answer, str) else ""
