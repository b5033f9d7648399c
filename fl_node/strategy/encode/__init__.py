"""How an update travels: chains of stages that make it smaller, decoded to the same bytes on every machine.

A stage is one file with its knobs and its functions; `STAGES` lists them all.
"""

from fl_node.strategy.encode.chain import (
    STAGES,
    chain_objection,
    decode_arrays,
    encode_arrays,
    encoded_schema,
)
from fl_node.strategy.encode.stage import Layout, Order, Stage

__all__ = [
    "STAGES",
    "Layout",
    "Order",
    "Stage",
    "chain_objection",
    "decode_arrays",
    "encode_arrays",
    "encoded_schema",
]
