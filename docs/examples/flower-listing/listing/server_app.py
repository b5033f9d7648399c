"""The server's part, as `flwr run` starts it. ganchor needs none and never runs this file."""

from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from listing.model import Generator

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Average the sites' generators round by round."""
    rounds = context.run_config["num-server-rounds"]
    FedAvg().start(
        grid=grid, initial_arrays=ArrayRecord(Generator().state_dict()), num_rounds=rounds
    )
