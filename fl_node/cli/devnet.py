"""`ganchor devnet`: the local test chain."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from chain.accounts import to_address
from chain.types import Address
from fl_node.cli import options
from fl_node.errors import Misuse


class Engine(StrEnum):
    """What runs the local test chain."""

    eth_tester = "eth-tester"
    anvil = "anvil"


def devnet(
    database: Annotated[
        Path, typer.Option(help="The chain's file. The same file continues the same chain.")
    ] = Path("chain.sqlite"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 picks a free one.")] = (
        options.DEVNET_PORT
    ),
    chain_id: Annotated[int, typer.Option(min=1, help="Chain id.")] = options.DEVNET_CHAIN_ID,
    fund: Annotated[
        list[str] | None,
        typer.Option(help="Address that gets 1000 test ether; repeat for several."),
    ] = None,
    engine: Annotated[
        Engine, typer.Option(help="anvil has to be installed (foundry).")
    ] = Engine.eth_tester,
) -> None:
    """Run the local test chain on 127.0.0.1 until it is stopped. Prints a line of JSON when it is ready."""
    from chain import devnet as local_chain

    funded = [_address(text) for text in fund or []]
    if engine is Engine.anvil:
        if funded:
            raise Misuse("--fund works with the eth-tester engine only; anvil has funded accounts")
        local_chain.serve_anvil(database, port=port, chain_id=chain_id)
    local_chain.serve(database, port=port, chain_id=chain_id, fund=funded)


def _address(text: str) -> Address:
    try:
        return to_address(text)
    except ValueError as error:
        raise Misuse(f"--fund: {error}") from None
