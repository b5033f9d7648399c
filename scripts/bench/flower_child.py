"""What the child process costs: seconds of a call, and memory, against the same app called in the node's own process.

Each way runs in a process of its own, once with the model of 14.3 MB and once with a model of a few numbers, so that
what imports take cancels out.

    uv run scripts/bench/flower.py --only child
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from flower_memory import memory_mb
from flower_rounds import APP
from workload import dcgan_sized

from fl_node.arrays import Arrays
from fl_node.child.learner import ChildLearner
from fl_node.child.setup import Setup
from fl_node.code.blob import read_code
from fl_node.code.packing import pack
from fl_node.learner import Assignment, Learner

SETUP = Setup(
    kind="flower",
    entry="resting.client_app:app",
    seed=1,
    losses={"training": "train_loss", "held_out": "eval_loss"},
    data="partition-id=0 num-partitions=3",
)
MODELS: dict[str, Callable[[], Arrays]] = {
    "large": lambda: dcgan_sized(0),
    "small": lambda: {"w": np.ones(2, np.float32)},
}
CALLS = 7
TIMEOUT = 300.0


def child_costs(folder: Path) -> dict[str, float]:
    """What a call of `train` in a child takes beyond one in this process: seconds, and memory in models of 14.3 MB."""
    figures = {(way, model): _measured(way, model) for way in WAYS for model in MODELS}
    model_mb = sum(array.nbytes for array in dcgan_sized(0).values()) / 1e6
    growth = {
        way: (figures[way, "large"]["mb"] - figures[way, "small"]["mb"]) / model_mb for way in WAYS
    }
    return {
        "seconds_a_call_in_a_child": round(figures["child", "large"]["seconds"], 3),
        "seconds_a_call_in_this_process": round(figures["here", "large"]["seconds"], 3),
        "memory_in_models_with_a_child": round(growth["child"], 1),
        "memory_in_models_without": round(growth["here"], 1),
    }


def _measured(way: str, model: str) -> dict[str, float]:
    command = [sys.executable, __file__, way, model]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


@contextmanager
def in_child(genesis: Arrays) -> Iterator[tuple[Learner, Callable[[], float]]]:
    """The app's learner in a child process, and the peak of both processes' memory in MB."""
    with ChildLearner(SETUP, read_code(pack(APP)), genesis, timeout=TIMEOUT) as learner:
        yield learner, lambda: memory_mb("VmHWM") + memory_mb("VmHWM", _only_child())


@contextmanager
def here(genesis: Arrays) -> Iterator[tuple[Learner, Callable[[], float]]]:
    """The app's learner in this process, and the peak of its memory in MB."""
    from fl_node.flower.open import open_learner

    sys.path.insert(0, str(APP))
    yield open_learner(SETUP, genesis), lambda: memory_mb("VmHWM")


WAYS = {"child": in_child, "here": here}


def _only_child() -> str:
    children = [file.read_text() for file in Path("/proc/self/task").glob("*/children")]
    return "".join(children).split()[0]


def main(way: str, model: str) -> None:
    genesis = MODELS[model]()
    seconds = []
    with WAYS[way](genesis) as (learner, peak):
        for number in range(CALLS):
            started = time.perf_counter()
            learner.train(Assignment(genesis, None, number, 1, number + 1))
            seconds.append(time.perf_counter() - started)
        figures = {"seconds": statistics.median(seconds), "mb": peak()}
    print(json.dumps(figures))


if __name__ == "__main__":
    main(*sys.argv[1:])
