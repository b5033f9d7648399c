"""The training code runs where nothing of the chain is installed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

BLOCKED = {
    *("chain", "web3", "eth_account", "eth_utils", "eth_tester", "solcx", "pydantic"),
    *("obstore", "safetensors", "platformdirs", "sklearn", "torchvision"),
}
# A module that is None in `sys.modules` cannot be imported, as if it were not installed.
PROGRAM = f"""
import runpy, sys
sys.modules.update(dict.fromkeys({sorted(BLOCKED)}))
for line in sys.stdin:
    sys.argv = [{str(ROOT / "scripts" / "bench" / "training.py")!r}, *line.split()]
    runpy.run_path(sys.argv[0], run_name="__main__")
"""
COMMON = "--size 32 --batch 2 --steps 1 --threads 1 --device cpu --json"
RATES = {
    "--learner gan": ("images", "listing_images"),
    "--learner classifier": ("images", "listing_images"),
    "--learner classifier --algorithms": tuple(
        f"{name}_images" for name in ("plain", "mu", "correction", "discrepancy")
    ),
}


@pytest.mark.slow
def test_the_bench_runs_without_chain_manifest_or_data_sets():
    """A GAN, a classifier, and the terms against drift, one after the other in a process of its own.

    Without a GPU the bench says what it could not compare.
    """
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input="".join(f"{options} {COMMON}\n" for options in RATES),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("could not be compared") == len(RATES)
    printed = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    for figures, rates in zip(printed, RATES.values(), strict=True):
        assert figures.pop("device").startswith("cpu")
        assert figures.keys() == {"kernels_per_step", *(f"{rate}_per_second" for rate in rates)}
        assert all(rate > 0 for rate in figures.values())
