"""Take part in a task: the same as `ganchor node`."""

import sys

from fl_node.cli.app import main

if __name__ == "__main__":
    main(["node", *sys.argv[1:]])
