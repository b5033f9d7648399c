"""Audit a task's history: the same as `ganchor audit`."""

import typer

from fl_node.cli.app import run
from fl_node.cli.audit import audit

if __name__ == "__main__":
    run(lambda: typer.run(audit))
