"""Members without ether: they sign their acts, and a relay sends them and pays.

`ganchor relay` is a `Relayer` behind HTTP (`server`). A node's `RelayedLedger` hands its acts to one, looks on the
chain whether they were carried out, and otherwise calls the contract itself.
"""
