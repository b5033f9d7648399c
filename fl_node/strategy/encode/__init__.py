"""Codecs: chains of stages that make an update smaller, and decode to the same bytes on every machine.

Each stage has a file with its knobs and functions; `STAGES` lists them.
"""

from fl_node.strategy.encode.chain import (
    STAGES,
    chain_objection,
    chain_variance,
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
    "chain_variance",
    "decode_arrays",
    "encode_arrays",
    "encoded_schema",
]
