"""The training code runs where nothing of the chain is installed, and its options are the manifest's."""

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

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


def test_the_bench_runs_without_chain_manifest_or_data_sets():
    script = str(ROOT / "scripts" / "bench" / "training.py")
    options = ["--size", "32", "--batch", "2", "--steps", "1", "--threads", "1", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, script, *options, "--device", "cpu"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["images_per_second"] > 0 and figures["listing_images_per_second"] > 0
    assert figures["device"].startswith("cpu")


def test_the_options_defaults_are_the_manifests():
    from fl_node.learning import GanOptions, learning_options
    from fl_node.manifest import build_manifest

    members = ["0x" + "0" * 39 + "1", "0x" + "0" * 39 + "2"]
    manifest = build_manifest(
        {"name": "defaults", "seed": 1, "members": members, "rounds": {"count": 1}}
    )
    taken, own = learning_options(manifest), GanOptions()
    for field in fields(GanOptions):
        assert getattr(taken, field.name) == getattr(own, field.name), field.name
