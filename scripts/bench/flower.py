"""What a Flower app costs under Flower and under ganchor: seconds a round, a child process, memory to aggregate.

The app (scripts/bench/resting_app) returns 14.3 MB of arrays and trains nothing; it runs unchanged, with three clients:

- under `flwr run`, in the simulation of a SuperLink on this machine;
- the same with a SuperNode for each client, in a process of its own;
- the simulation with the mod and the wrapped strategy, beside a local chain;
- under three `ganchor node --flower`, each of which calls it in a child process, beside a local chain.

Rounds are counted from the end of round 1, so that no start of a process counts.

    uv run scripts/bench/flower.py [--rounds 10] [--only flwr|supernodes|ledger|ganchor|child|memory] [--json]
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from flower_child import child_costs
from flower_memory import memory_to_aggregate
from flower_rounds import seconds_under_flwr, seconds_under_ganchor, seconds_with_a_ledger
from rich.console import Console
from rich.table import Table

Figures = Mapping[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--only", action="append", help="measure only this; repeat for several")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # Flower's programs end with this one.
    measurements: dict[str, Callable[[Path], Figures]] = {
        "flwr": lambda folder: {"seconds_a_round": seconds_under_flwr(folder, options.rounds)},
        "supernodes": lambda folder: {
            "seconds_a_round": seconds_under_flwr(folder, options.rounds, simulated=False)
        },
        "ledger": lambda folder: {"seconds_a_round": seconds_with_a_ledger(folder, options.rounds)},
        "ganchor": lambda folder: {
            "seconds_a_round": seconds_under_ganchor(folder, options.rounds)
        },
        "child": child_costs,
        "memory": memory_to_aggregate,
    }
    table = Table("what", "figure", "value", title="A Flower app of 14.3 MB, three clients")
    figures = {}
    for name in options.only or measurements:
        with tempfile.TemporaryDirectory() as folder:
            figures[name] = measurements[name](Path(folder))
        for figure, value in figures[name].items():
            table.add_row(name, figure.replace("_", " "), f"{value:g}")
    Console(stderr=options.json).print(table)
    if options.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
