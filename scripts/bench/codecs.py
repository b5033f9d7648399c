"""Speed, size and error of codecs, for each stage alone and for chains.

    uv run scripts/bench/codecs.py [--repeats 15] [--json]

The process pins itself to one core and measures processor time. The update has the size of the reference generator,
14.3 MB; GB/s refer to its float32 values, in both directions. "error" is the squared error divided by the update's
squared norm.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from workload import dcgan_sized

from fl_node.arrays import Arrays
from fl_node.blobs.tensors import schema_of, size_of
from fl_node.fields import Choice
from fl_node.strategy.encode import decode_arrays, encode_arrays, encoded_schema
from fl_node.strategy.encode.esgd import Esgd
from fl_node.strategy.encode.low_rank import LowRank
from fl_node.strategy.encode.quantise import Quantise
from fl_node.strategy.encode.rotate import Rotate
from fl_node.strategy.encode.subsample import Subsample
from fl_node.strategy.encode.top_k import TopK

SEED = 1
CHAINS: dict[str, Sequence[Choice]] = {
    "low_rank 4": [LowRank()],
    "subsample 1 in 16": [Subsample()],
    "top_k 1 %": [TopK()],
    "esgd 12.5 %": [Esgd()],
    "rotate": [Rotate()],
    "quantise 8": [Quantise()],
    "quantise 4": [Quantise(bits=4)],
    "quantise 2": [Quantise(bits=2)],
    "quantise 1": [Quantise(bits=1)],
    "quantise 8, norm": [Quantise(spread="norm")],
    "rotate, quantise 4": [Rotate(), Quantise(bits=4)],
    "subsample 1 in 16, rotate, quantise 4": [Subsample(), Rotate(), Quantise(bits=4)],
    "top_k 1 %, quantise 4": [TopK(), Quantise(bits=4)],
    "low_rank 4, quantise 8": [LowRank(), Quantise()],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    arrays = dcgan_sized(0)
    rows = [copy_row(arrays, options.repeats)]
    rows += [row(name, stages, arrays, options.repeats) for name, stages in CHAINS.items()]
    table = Table(*rows[0], title="Encoding an update of 3.58M float32, one core")
    for cells in rows:
        table.add_row(
            *(f"{value:,}" if isinstance(value, int) else str(value) for value in cells.values())
        )
    Console(stderr=options.json, width=120).print(table)
    if options.json:
        print(json.dumps(rows))


def copy_row(arrays: Arrays, repeats: int) -> dict[str, Any]:
    """The cost of a plain copy of the update, for comparison."""
    taken = seconds(lambda: {name: array.copy() for name, array in arrays.items()}, repeats)
    return figures("plain copy", arrays, arrays, taken, taken, 0.0)


def row(name: str, stages: Sequence[Choice], arrays: Arrays, repeats: int) -> dict[str, Any]:
    credit = {name: np.square(array) for name, array in dcgan_sized(2).items()}
    schema = schema_of(arrays)
    sent = encode_arrays(stages, arrays, SEED, credit)
    back = decode_arrays(stages, sent, schema, SEED)
    assert schema_of(sent) == encoded_schema(stages, schema)
    return figures(
        name,
        arrays,
        sent,
        seconds(lambda: encode_arrays(stages, arrays, SEED, credit), repeats),
        seconds(lambda: decode_arrays(stages, sent, schema, SEED), repeats),
        squares({name: back[name] - arrays[name] for name in arrays}) / squares(arrays),
    )


def figures(
    name: str, arrays: Arrays, sent: Arrays, encoding: float, decoding: float, error: float
) -> dict[str, Any]:
    """One row of the table. Sizes are those of the blobs, with header and names."""
    before, after = size_of(schema_of(arrays)), size_of(schema_of(sent))
    return {
        "codec": name,
        "MB in": round(before / 1e6, 1),
        "bytes out": after,
        "ratio": round(before / after, 1),
        "error": float(f"{error:.2g}"),
        "encode GB/s": round(before / 1e9 / encoding, 2),
        "decode GB/s": round(before / 1e9 / decoding, 2),
    }


def squares(arrays: Arrays) -> float:
    return float(sum(np.square(array, dtype=np.float64).sum() for array in arrays.values()))


def seconds(call: Callable[[], object], repeats: int) -> float:
    """Processor time of the fastest of several runs, because other load on the machine can only add to it."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    main()
