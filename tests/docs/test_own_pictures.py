"""docs/own-pictures.md: its script converts, and its learner is the demo's."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
from pages import DOCS, blocks
from PIL import Image

from fl_node.cli.demo.demo import write_manifest

PAGE = (DOCS / "own-pictures.md").read_text()


def test_a_16_bit_picture_keeps_its_shades(tmp_path: Path):
    (script,) = blocks(PAGE, "py")
    (tmp_path / "to_8_bit.py").write_text(script)
    shades = np.linspace(1000, 3000, 64, dtype=np.uint16).reshape(8, 8)
    (tmp_path / "scans" / "a").mkdir(parents=True)
    Image.fromarray(shades).save(tmp_path / "scans" / "a" / "1.png")
    subprocess.run([sys.executable, "to_8_bit.py", "scans", "out"], cwd=tmp_path, check=True)
    with Image.open(tmp_path / "out" / "a" / "1.png") as converted:
        assert converted.mode == "L"
        assert np.unique(np.asarray(converted)).size > 60


def test_the_learner_to_start_from_is_the_demos(tmp_path: Path):
    (block,) = blocks(PAGE, "toml")
    write_manifest(tmp_path / "manifest.toml", [], rounds=5, seed=1, data="digits")
    stated, demo = tomllib.loads(block), tomllib.loads((tmp_path / "manifest.toml").read_text())
    assert stated["data"] == demo["data"]
    assert stated["learner"] == demo["learner"]
    assert stated["strategy"].items() <= demo["strategy"].items()
