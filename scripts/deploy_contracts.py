"""Deploy the training ledger: the same as `ganchor deploy`."""

import sys

from fl_node.cli.app import main

if __name__ == "__main__":
    main(["deploy", *sys.argv[1:]])
