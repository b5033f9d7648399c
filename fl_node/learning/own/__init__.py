"""Users' own models: opened by the names in a manifest, from code that is importable already.

entry.py    a callable by its name
genesis.py  the model that a task starts from, and whether it fits the code
opening.py  a member's learner, on its part of the data
"""

from fl_node.learning.own.genesis import build_genesis, own_genesis
from fl_node.learning.own.opening import open_learner, own_learner

__all__ = ["build_genesis", "open_learner", "own_genesis", "own_learner"]
