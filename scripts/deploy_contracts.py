"""Deploy the training ledger: the same as `ganchor deploy`."""

import typer

from fl_node.cli.app import run
from fl_node.cli.chain import deploy

if __name__ == "__main__":
    run(lambda: typer.run(deploy))
