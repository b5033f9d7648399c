"""Take part in a task: the same as `ganchor node`."""

import typer

from fl_node.cli.app import run
from fl_node.cli.node import node

if __name__ == "__main__":
    run(lambda: typer.run(node))
