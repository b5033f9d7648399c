"""Child learners that run `fake_kind`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from fl_node.child.learner import ChildLearner
from fl_node.child.setup import Setup
from fl_node.code.blob import Code, read_code
from fl_node.code.packing import pack
from fl_node.learner import Assignment

PROGRAM = ("-c", "from fl_node.child.serve import main; main({'fake': 'fake_kind'})")
MODEL = {"w": np.array([1, 2, 3], np.float32), "b": np.array(0.5, np.float64)}
LONG = 60.0


def fake_code() -> Code:
    return read_code(pack(Path(__file__).with_name("fake_kind.py")))


def fake_setup(**more: Any) -> Setup:
    return Setup(**{"kind": "fake", "entry": "fake_kind:learner", "seed": 5, **more})


def fake_learner(timeout: float = LONG, **more: Any) -> ChildLearner:
    return ChildLearner(fake_setup(**more), fake_code(), MODEL, timeout=timeout, program=PROGRAM)


def told(what: str) -> Assignment:
    """An assignment in which the fake learner does this."""
    private = {"act": np.frombuffer(what.encode(), np.uint8)} if what else None
    return Assignment(MODEL, private, seed=1, steps=4)


def has_ended(pid: int) -> bool:
    """Whether a process ends: a killed one may take a moment, and its parent (perhaps init) another to bury it."""
    for _ in range(5000):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return True
        except OSError:
            return True
        time.sleep(0.01)
    return False
