"""Averages; `anchored` is the only line for the ledger."""

import numpy as np
from flwr.app import Array, ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from fl_node.flower.joining import anchored

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    strategy = anchored(FedAvg(min_train_nodes=3, min_evaluate_nodes=3, min_available_nodes=3))
    arrays = ArrayRecord({"w": Array(np.arange(6, dtype=np.float32))})
    strategy.start(grid, arrays, num_rounds=int(context.run_config.get("rounds", 2)))
