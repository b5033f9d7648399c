"""docs/own-pictures.md: its script converts, and its learner is the one that `manifest new` writes."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
from doubles import MEMBERS
from pages import DOCS, blocks
from PIL import Image

from fl_node.cli.manifest import manifest_text
from fl_node.cli.pictures import look_at

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


def test_the_learner_to_start_from_is_that_of_a_new_manifest():
    (block,) = blocks(PAGE, "toml")
    written = tomllib.loads(
        manifest_text("digits", 1, MEMBERS, look_at("digits"), "gan", rounds=5, steps=120)
    )
    stated = tomllib.loads(block)
    assert stated["data"] == written["data"]
    assert stated["learner"] == written["learner"]
    assert stated["strategy"].items() <= written["strategy"].items()
