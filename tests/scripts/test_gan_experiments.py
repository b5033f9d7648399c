"""The GAN's experiments: their settings, that the listing forgets, and how KIDs are held against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import gan
import gan_bytes
import gans
import listing
import numpy as np
import pytest
from comparing import quality_cells, ratio_cell
from gans import SAMPLES_VARIABLE, floor_of, judged, picture_file
from harness import plain, run_one
from PIL import Image
from reporting import Options
from results import Result
from settings import Setting

from fl_node.arrays import Arrays
from fl_node.learner import Assignment, Measured, StepProgress, Trained, no_progress
from fl_node.learning import Images, random_weights
from fl_node.learning.classifier.options import ClassifierOptions

SMALL = Options((1,), 1, Path("unused"), "small", "digits", "cpu", False)


class Remembering:
    """Gives back what it was told to start from."""

    def steps_for(self, epochs: int) -> int:
        return epochs

    def train(self, assignment: Assignment, progress: StepProgress = no_progress) -> Trained:
        kept = assignment.private or {}
        return Trained(assignment.model, kept, num_examples=1, steps=1, training_loss=0.0)

    def measure(self, model: Arrays, private: Arrays | None, training: bool = False) -> Measured:
        return Measured(0.0)


def of_fids(
    *fids: float, draws: Sequence[float] = (0.0, 0.0), diverged: int | None = None
) -> Result:
    """A run with these FIDs after its rounds; its draws are so far above or below each."""
    curve = [
        {"round": at, "fid": fid, "fid_draws": [fid + draw for draw in draws]}
        for at, fid in enumerate(fids, start=1)
    ]
    return Result("x", 1, "", curve, [], [], [], [], [], 0.0, diverged, 0.0)


@pytest.mark.parametrize("script", [gan, gan_bytes, listing])
@pytest.mark.parametrize(("size", "data"), [("small", "digits"), ("large", "cifar10")])
def test_every_gan_setting_is_a_manifest(script: object, size: str, data: str) -> None:
    options = replace(SMALL, size=size, data=data)
    settings = script.settings(options)
    assert len({setting.name for setting in settings}) == len(settings)
    for setting in settings:
        assert setting.manifest(1).rounds.count == setting.rounds


def test_every_member_takes_as_many_steps_in_every_setting() -> None:
    named = {one.name: one for one in gan.settings(SMALL)}
    central = named.pop(gan.CENTRAL)
    per_member = {one.manifest(1).strategy.work.amount(0) * one.rounds for one in named.values()}
    assert len(per_member) == 1
    assert central.rounds * 20 == gan.MEMBERS * per_member.pop()


def test_the_control_sees_the_members_examples_in_a_members_steps() -> None:
    named = {one.name: one for one in gan.settings(SMALL)}
    control, shared = named[gan.CONTROL], named["both shared, IID"]
    assert (control.members, shared.members) == (1, gan.MEMBERS)
    batches = [one.manifest(1).learner.batch for one in (control, shared)]
    assert batches == [gan.MEMBERS * 32, 32]
    first = gan.table(SMALL, {name: [measured(1)] for name in named})[0]
    assert (first["training"][:7], first["FID / control"]) == ("control", "1.00 (1.00 to 1.00)")
    (alone,) = gan.table(SMALL, {"both shared, IID": [measured(1)]})
    assert alone["FID / control"] == "-"


def test_no_table_reports_the_seed_that_the_knobs_were_chosen_with() -> None:
    assert str(gans.KNOBS_SEED) not in gans.SEEDS.split(",")


def test_the_listing_forgets_what_it_received_and_what_it_kept() -> None:
    forgetful, mended, _ = listing.settings(SMALL)
    received = {"generator.x": np.zeros(3, np.float32)}
    kept = {"discriminator.x": np.ones(3, np.float32)}
    assignment = Assignment(received, kept, seed=1, steps=1)
    told = listing.wrap(forgetful, 0, Remembering()).train(assignment)
    assert told.private == {}
    assert set(told.shared) != set(received)
    assert all(name.startswith("generator.") for name in told.shared)
    told = listing.wrap(mended, 0, Remembering()).train(assignment)
    assert (told.shared, told.private) == (received, kept)


def test_the_listing_draws_other_weights_at_every_call() -> None:
    forgetful = listing.wrap(listing.settings(SMALL)[0], 0, Remembering())
    one, other = (
        forgetful.train(Assignment({}, None, seed=seed, steps=1)).shared for seed in (1, 2)
    )
    name = "generator.to_picture.weight"
    assert not np.array_equal(one[name], other[name])
    assert one[name].std() == pytest.approx(0.02, rel=0.2)


def test_two_of_ten_members_of_the_listing_train_in_a_round() -> None:
    for setting in listing.settings(SMALL):
        terms = setting.manifest(1).terms()
        assert (setting.members, max(terms.cohort_floor, terms.cohort_fraction // 1000)) == (10, 2)


def test_fids_are_compared_on_the_same_draws() -> None:
    several = [of_fids(9.0, 5.0, draws=(1.0, 3.0)), of_fids(9.0, 7.0, draws=(1.0, 3.0))]
    baseline = [of_fids(3.0, draws=(0.5, 1.5)), of_fids(3.0, draws=(0.5, 1.5))]
    # The draws' own bias is taken off: (6 - 1) / (3 - 0.5) and (6 + 1) / (3 + 0.5) are both 2.
    assert ratio_cell(several, baseline, round=2, of_round=1) == "2.00 (2.00 to 2.00)"
    still = [of_fids(3.0)] * 2
    assert ratio_cell(several, still, round=2, of_round=1) == "2.00 (1.68 to 2.32)"
    assert ratio_cell([of_fids(diverged=1)], still[:1], 2, 1) == "-"


def measured(seed: int) -> Result:
    """A run that was measured after each round of the longest setting."""
    figures = {"kid": 0.1, "fid": 5.0, "covered": 10, "fid_draws": [5.0, 6.0]}
    curve = [{"round": round, **figures} for round in range(1, 101)]
    return Result("x", seed, "", curve, [], [], [], [], [], 0.0, None, 0.0)


def untrained(options: ClassifierOptions, images: Images, seed: int, device: object) -> Arrays:
    return random_weights(options, seed)


def test_samples_are_measured_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gans, "train_extractor", untrained)  # which takes seconds
    monkeypatch.setenv(SAMPLES_VARIABLE, str(tmp_path / "samples"))
    tiny: Setting = replace(
        gan.settings(SMALL)[0],
        name="tiny, iid",
        rounds=2,
        every=1,
        members=2,
        pictures=60,
        tests=40,
        strategy={"work": {"steps": 1}},
    )
    result = run_one(tiny, 1, judged, plain)
    floor = floor_of(tiny, "cpu")
    for figures in result.curve:
        assert figures["kid"] > floor["kid"]
        assert figures["fid"] > floor["fid"]
        assert 0 <= figures["covered"] <= 10
    assert set(quality_cells([result], 2)) == {"KID", "FID", "classes"}
    assert ratio_cell([result], [result], 2, 2) == "1.00 (1.00 to 1.00)"
    assert "±" in gan.floor_text(tiny, "cpu")
    picture = picture_file(tmp_path / "samples", "tiny, iid", 1)
    with Image.open(picture) as drawn:
        assert drawn.size == (4 * 34 - 2, 8 * 34 - 2)
    names = ["tiny, iid", "tiny, iid"]
    gan.compare_samples(replace(SMALL, out=tmp_path), names, tmp_path / "gan.png")
    with Image.open(tmp_path / "gan.png") as whole:
        pixels = np.asarray(whole.convert("L"))
    assert pixels[gan.HEADING :, :134].std() > 10  # Early samples are noise, not an empty frame.
