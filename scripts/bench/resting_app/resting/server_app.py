"""Averages as Flower does, and writes down the time after each round."""

import os
import time
from pathlib import Path

from flwr.app import Array, ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg, Strategy

from resting.model import arrays, flat

CLIENTS = 3

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the rounds."""
    config = context.run_config
    model = flat(config["numbers"]) if config["numbers"] else arrays()
    first = ArrayRecord({name: Array(array) for name, array in model.items()})
    inner = FedAvg(
        fraction_evaluate=config["fraction-evaluate"],
        min_train_nodes=CLIENTS,
        min_available_nodes=CLIENTS,
    )
    perhaps_anchored(inner).start(
        grid=grid,
        initial_arrays=first,
        num_rounds=config["num-server-rounds"],
        evaluate_fn=ended,
    )


def perhaps_anchored(inner: FedAvg) -> Strategy:
    """FedAvg, wrapped if the ledger is measured, too."""
    if "GANCHOR_FLOWER" not in os.environ:
        return inner
    from fl_node.flower.joining import anchored

    return anchored(inner)


def ended(server_round: int, _: ArrayRecord) -> None:
    """Write down when a round ended; round 0 is the beginning."""
    with Path(os.environ["RESTING_ENDS"]).open("a") as file:
        file.write(f"{time.time():.3f}\n")
