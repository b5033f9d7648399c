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
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def bench(*options: str) -> dict:
    script = str(ROOT / "scripts" / "bench" / "training.py")
    common = ["--batch", "2", "--steps", "1", "--threads", "1", "--device", "cpu", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, script, *common, *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures.pop("device").startswith("cpu")
    return figures


@pytest.mark.slow
def test_the_bench_runs_without_chain_manifest_or_data_sets():
    figures = bench("--size", "32")
    assert figures.keys() == {"images_per_second", "listing_images_per_second"}
    assert all(rate > 0 for rate in figures.values())


@pytest.mark.slow
def test_the_bench_compares_a_classifier_with_terms_against_drift():
    assert bench("--learner", "classifier").keys() == {
        *("images_per_second", "listing_images_per_second")
    }
    assert bench("--learner", "classifier", "--algorithms").keys() == {
        f"{name}_images_per_second" for name in ("plain", "mu", "correction", "discrepancy")
    }
