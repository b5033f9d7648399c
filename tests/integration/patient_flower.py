"""Flower's own SuperLink and SuperNode, for machines on which a process may take longer to start than Flower waits.

Flower gives a process 30 s from its start to its first request; a dozen processes on two busy cores need more.
"""

import sys

from flwr.supercore.corestate import in_memory_corestate, sql_corestate
from flwr.superlink.cli import flower_superlink
from flwr.supernode.cli import flower_supernode

for module in (in_memory_corestate, sql_corestate):
    module.HEARTBEAT_DEFAULT_INTERVAL = 180

PROGRAMS = {"flower-superlink": flower_superlink, "flower-supernode": flower_supernode}

if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    sys.exit(PROGRAMS[sys.argv[0]]())
