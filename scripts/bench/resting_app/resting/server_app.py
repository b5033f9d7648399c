"""Averages as Flower does, and prints a line with the time after each round."""

import os
import time

from flwr.app import Array, ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg, Strategy

from resting.model import arrays

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the rounds."""
    first = ArrayRecord({name: Array(array) for name, array in arrays().items()})
    rounds = context.run_config["num-server-rounds"]
    strategy().start(grid=grid, initial_arrays=first, num_rounds=rounds, evaluate_fn=ended)


def strategy() -> Strategy:
    """FedAvg, wrapped if the ledger is measured, too."""
    if "GANCHOR_FLOWER" not in os.environ:
        return FedAvg()
    from fl_node.flower.joining import anchored

    return anchored(FedAvg())


def ended(server_round: int, _: ArrayRecord) -> None:
    """Say when a round ended; round 0 is the beginning."""
    print(f"round {server_round} ended at {time.time():.3f}", flush=True)
