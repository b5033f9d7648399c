"""Audit a task's history: the same as `ganchor audit`."""

import sys

from fl_node.cli.app import main

if __name__ == "__main__":
    main(["audit", *sys.argv[1:]])
