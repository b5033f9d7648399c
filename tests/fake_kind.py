"""A kind of learner that does what it is told to, which the tests put behind the production's table, as task's code.

The act of a call is the text of the private array `act`, else of the knob `train`; at opening, of the knob `open`.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from fl_node.errors import DataUnusable, TrainingDiverged
from fl_node.learner import Measured, Trained

FOREVER = 600


def open_learner(setup, genesis):
    act(setup.knobs.get("open", "nothing"))
    return Fake(setup, genesis)


def build_genesis(setup):
    what = setup.knobs.get("genesis", "good")
    act(what)
    return {
        "good": {"w": np.arange(3, dtype=np.float32), "steps": np.array(7)},
        "nan": {"w": np.array([np.nan])},
        "none": {},
        "large": {"w": np.zeros(12 << 20, np.uint8)},
        "empty": {"w": np.zeros(0)},
        "text": {"w": np.array(["a"])},
    }.get(what, {})


def act(name):
    ACTS.get(name, lambda: None)()


def diverge():
    raise TrainingDiverged("the losses are no longer finite at step 3")


def no_data():
    raise DataUnusable("no folder of pictures here")


def fail():
    raise ValueError("this is\nbad\x1b[2J" + "!" * 5000)


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("no words")


def unspeakable():
    raise Unspeakable


def flood():
    for _ in range(200):
        print("x" * 1_000_000)
    print("the end of the flood", flush=True)


def grandchild():
    """One that runs on, holds what is printed open, and says its number."""
    process = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({FOREVER})"])
    Path(os.environ["HOME"], "grandchild").write_text(str(process.pid))


def hang_with_grandchild():
    grandchild()
    time.sleep(FOREVER)


def die_with_grandchild():
    grandchild()
    os.kill(os.getpid(), signal.SIGKILL)


def forked_copy():
    """The copy tries to answer in the child's place, after it is gone."""
    if os.fork() == 0:
        return
    os.wait()


def replies_pipe():
    return int(sys.argv[-2])


def no_frame():
    os.write(replies_pipe(), (20).to_bytes(8, "little") + b"this is not a frame!")


def huge_frame():
    os.write(replies_pipe(), (1 << 60).to_bytes(8, "little"))


def half_frame():
    os.write(replies_pipe(), (1000).to_bytes(8, "little") + b"half")
    os.kill(os.getpid(), signal.SIGKILL)


def silent_frame():
    os.write(replies_pipe(), (1000).to_bytes(8, "little") + b"half")
    time.sleep(FOREVER)


def close_pipes():
    for pipe in map(int, sys.argv[-3:]):
        os.close(pipe)
    time.sleep(FOREVER)


ACTS = {
    "raise": fail,
    "unspeakable": unspeakable,
    "exit": lambda: sys.exit(3),
    "_exit": lambda: os._exit(5),
    "interrupt": lambda: (_ for _ in ()).throw(KeyboardInterrupt),
    "abort": os.abort,
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "words": lambda: (print("first\nlast \x1b[31mwords"), os._exit(0)),
    "hang": lambda: time.sleep(FOREVER),
    "busy": lambda: [None for _ in iter(int, 1)],
    "print": lambda: (print("hello"), print("oh no", file=sys.stderr), os.write(1, b"raw")),
    "flood": flood,
    "hang with grandchild": hang_with_grandchild,
    "die with grandchild": die_with_grandchild,
    "forked copy": forked_copy,
    "no frame": no_frame,
    "huge frame": huge_frame,
    "half frame": half_frame,
    "silent frame": silent_frame,
    "close pipes": close_pipes,
    "diverge": diverge,
    "no data": no_data,
    "memory": lambda: [bytes(1 << 62)],
}


def told(text):
    return {"told": np.frombuffer(text.encode(), np.uint8)}


def surroundings():
    here = Path("/proc/self")
    return json.dumps(
        {
            "environ": (here / "environ").read_bytes().decode(),
            "argv": sys.argv,
            "cwd": str(Path.cwd()),
            "descriptors": {
                entry.name: str(entry.readlink())
                for entry in (here / "fd").iterdir()
                if entry.is_symlink()
            },
            "oom": (here / "oom_score_adj").read_text().strip(),
            "core": resource.getrlimit(resource.RLIMIT_CORE),
            "group": [os.getpid(), os.getpgrp(), os.getsid(0)],
            "modules": sorted(sys.modules),
        }
    )


def endless_progress(progress):
    while True:
        progress(1, 2, {"loss": 0.5})


class Fake:
    def __init__(self, setup, genesis):
        self.setup, self.genesis = setup, genesis

    def steps_for(self, epochs):
        return {98: "many", 99: 0}.get(epochs, 10 * epochs)

    def measure(self, model, private, training=False):
        what = bytes((private or {}).get("act", b"")).decode()
        act(what)
        loss = {"nan": float("nan"), "text": "low"}.get(
            what, float(sum(array.sum() for array in model.values()))
        )
        return Measured(loss + (100 if training else 0), {"accuracy": 0.25, "auc": float("nan")})

    def train(self, assignment, progress):
        private = assignment.private or {}
        what = bytes(private.get("act", b"")).decode() or self.setup.knobs.get("train", "")
        if what == "endless progress":
            endless_progress(progress)
        act(what)
        progress(1, assignment.steps, {"loss": 2.0})
        progress(assignment.steps, assignment.steps, {"loss": float("inf")})
        shared = {
            name: np.asarray(array + array.dtype.type(1))
            for name, array in assignment.model.items()
        }
        if what in WRONG:
            return WRONG[what](good(assignment, shared, "wrong"))
        return good(assignment, shared, surroundings() if what == "look" else repr(assignment))


def good(assignment, shared, text):
    return Trained(
        shared=shared,
        private=told(text),
        num_examples=12,
        steps=assignment.steps,
        training_loss=0.1,
        mean_gradient=None if assignment.correction is None else shared,
        metrics={"accuracy": 0.5, "auc": float("nan")},
    )


def with_w(change):
    return lambda good: replace(good, shared=good.shared | {"w": change(good.shared["w"])})


def with_private(make):
    return lambda good: replace(good, private=make())


def instead(**fields):
    return lambda good: replace(good, **fields)


WRONG = {
    "none": lambda good: None,
    "nan": with_w(lambda w: w * np.float32(np.nan)),
    "other dtype": with_w(lambda w: w.astype(np.float64)),
    "other shape": with_w(lambda w: w[:1]),
    "objects": with_w(lambda w: np.array([object()])),
    "more names": lambda good: replace(good, shared=good.shared | {"more": good.shared["w"]}),
    "other names": lambda good: replace(good, shared={"x\x1b[2J": good.shared["w"]}),
    "no arrays": instead(shared=[1, 2]),
    "nothing": instead(shared={}),
    "too much": with_private(lambda: {"x": np.zeros(66 << 20, np.uint8)}),
    "far too much": with_private(lambda: {"x": np.zeros(200 << 20, np.uint8)}),
    "strange private": with_private(lambda: {"x\x1b[2J": np.zeros(1)}),
    "empty private": with_private(lambda: {"x": np.zeros(0)}),
    "no examples": instead(num_examples=0),
    "2**53 examples": instead(num_examples=1 << 53),
    "2**400 examples": instead(num_examples=1 << 400),
    "half an example": instead(num_examples="0.5"),
    "no steps": instead(steps=-1),
    "infinite loss": instead(training_loss=float("inf")),
    "text as loss": instead(training_loss="low"),
    "many metrics": instead(metrics={str(number): 0.0 for number in range(100)}),
    "strange metrics": instead(metrics={"a\nb": 0.0}),
    "text as metric": instead(metrics={"accuracy": "high"}),
    "no gradient": instead(mean_gradient=None),
}
