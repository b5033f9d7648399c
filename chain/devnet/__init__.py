"""The local test chain: eth-tester and py-evm, durable in SQLite, served on loopback."""

from chain.recursion import recursion_limit

with recursion_limit():  # py-evm raises the limit.
    from chain.devnet.anvil import serve_anvil
    from chain.devnet.endpoint import CHAIN_ID, FUNDS_WEI, PORT, devnet_in_thread, serve
    from chain.devnet.kept import kept_chain
    from chain.devnet.limits import Limits

__all__ = [
    "CHAIN_ID",
    "FUNDS_WEI",
    "PORT",
    "Limits",
    "devnet_in_thread",
    "kept_chain",
    "serve",
    "serve_anvil",
]
