"""How tests are run: on every core, from one seed; and a small task on an in-memory ledger."""

from __future__ import annotations

import gc
import math
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from doubles import (
    MEMBERS,
    STATING,
    Federation,
    StatingLearner,
    federation_in,
    run,
    small_manifest,
)

from fl_node.manifest.manifest import Manifest

SLOWNESS = [hypothesis.HealthCheck.too_slow]
"""Of a busy machine: it says nothing about a property."""


@pytest.hookimpl(wrapper=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> Generator[None, int, int]:
    """Folders are spread over every core; for single files it takes longer to start workers than to run them.

    A quarter of the time goes by in waits for processes, blocks and windows: one worker more than cores fills it.
    """
    cores = yield
    paths = [Path(argument.partition("::")[0]) for argument in config.args]
    return 0 if all(path.is_file() for path in paths) else cores + 1


@pytest.hookimpl(trylast=True)  # pytest-randomly chooses the seed.
def pytest_configure(config: pytest.Config) -> None:
    """One seed sets the order of the tests, Python's hashes and Hypothesis's examples; a core, one thread.

    Workers and the processes that tests start take hashes and threads from the environment. To hash as a worker
    did, in this process: `PYTHONHASHSEED=N pytest -n 0 -p randomly --randomly-seed=N`.
    """
    seed = config.getoption("randomly_seed", 0)
    os.environ |= {"PYTHONHASHSEED": str(seed % 2**32), "OMP_NUM_THREADS": "1"}
    hypothesis.core.global_force_seed = seed
    hypothesis.settings.register_profile("suite", deadline=None, suppress_health_check=SLOWNESS)
    hypothesis.settings.load_profile("suite")
    worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
    os.environ["GANCHOR_CACHE"] = str(config.rootpath / ".pytest_cache" / f"logs-{worker}")
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        # As containers set it: every process that a test starts would compile every library again.
        os.environ["PYTHONPYCACHEPREFIX"] = str(config.rootpath / ".pytest_cache" / "bytecode")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Tests and libraries stay to the end: to look through them for garbage took a third of the time here."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What may take longest comes first, so that no core waits at the end for another's last test."""
    items.sort(key=patience, reverse=True)


def patience(item: pytest.Item) -> float:
    """The seconds that a slow test is given; 0 for any other."""
    if "slow" not in item.keywords:
        return 0
    given = item.get_closest_marker("timeout")
    return float(given.args[0] if given else item.config.getini("timeout"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
    """The seed is in the header, which `-q` hides."""
    if exitstatus:
        seed = terminalreporter.config.getoption("randomly_seed", 0)
        terminalreporter.write_line(
            f"The same order, hashes and examples again: --randomly-seed={seed}"
        )


@pytest.fixture(scope="session", autouse=True)
def no_wait_for_the_disk() -> Iterator[None]:
    """A test can kill a process, not the machine: syncing costs seconds here and could not be seen to work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda file: None)
        yield


@pytest.fixture
def federate(tmp_path: Path) -> Callable[..., Federation]:
    """Open a task with a manifest on a fresh ledger and store."""

    def build(manifest: Manifest | None = None, name: str = "federation") -> Federation:
        return federation_in(tmp_path / name, manifest)

    return build


@pytest.fixture
def federation(federate: Callable[..., Federation]) -> Any:
    return federate()


@pytest.fixture
def measuring(federate: Callable[..., Federation]) -> Federation:
    """A finished task whose members, with 10, 20 and 30 examples, measured something."""
    federation: Federation = federate(small_manifest(learner=STATING))
    numbers: list[dict[str, float]] = [
        {"accuracy": 0.5, "auc": 0.25},
        {"accuracy": 0.8, "auc": math.nan},
        {"accuracy": 0.9},
    ]
    for index, member in enumerate(MEMBERS):
        federation.learners[member] = StatingLearner(1 + index, held_out=numbers[index])
    run(federation)
    return federation
