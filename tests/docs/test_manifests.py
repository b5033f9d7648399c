"""docs/manifests/: files to run as they are, and the page that says what they cost."""

from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path

import pytest
from doubles import MEMBERS
from pages import ALGORITHMS, DOCS, blocks

from fl_node.learning import learning_options
from fl_node.learning.genesis import tensor_shapes
from fl_node.manifest.manifest import build_manifest, parse_manifest, read_manifest
from fl_node.strategy.sharing import shared_names

FILES = sorted((DOCS / "manifests").glob("*.toml"))
PAGE = (DOCS / "listing.md").read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_a_manifest_whose_model_can_be_built(path: Path):
    manifest = read_manifest(path)
    assert parse_manifest(manifest.to_bytes()) == manifest
    options = learning_options(manifest)
    assert shared_names(tensor_shapes(options), options.share)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_can_be_run_as_the_page_says(path: Path):
    assert f"uv run ganchor simulate docs/manifests/{path.name} --data" in PAGE


def test_the_listing_has_its_own_knobs():
    listing = tomllib.loads((DOCS / "manifests/listing.toml").read_text(), parse_float=Decimal)
    assert listing["data"]["size"] == 64
    assert listing["learner"] == {
        "kind": "gan",
        "latent": 100,
        "generator_width": 64,
        "discriminator_width": 64,
        "loss": "bce",
        "norm": "batch",
        "penalty": 0,
        "batch": 32,
        "generator_rate": Decimal("0.001"),
        "discriminator_rate": Decimal("0.001"),
        "beta1": Decimal("0.5"),
        "beta2": Decimal("0.999"),
        "optimiser_state": "kept",
        "ema_half_life": 0,
    }
    assert listing["strategy"]["share"] == ["generator.*"]
    assert listing["rounds"] == {
        "count": 3,
        "cohort_fraction": Decimal("0.1"),
        "cohort_floor": 2,
        "min_updates": 2,
    }


@pytest.mark.parametrize("block", blocks(ALGORITHMS, "toml"))
def test_an_example_of_the_algorithms_is_a_part_of_a_manifest(block: str):
    part = tomllib.loads(block, parse_float=Decimal)
    rounds = {"count": 1, **part.pop("rounds", {})}
    build_manifest({"name": "x", "seed": 1, "members": list(MEMBERS), "rounds": rounds, **part})
