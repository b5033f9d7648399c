"""E3: a GAN on central data, on one member's data alone, with the generator shared, and with both networks shared.

    uv run scripts/experiments/gan.py
    uv run scripts/experiments/gan.py --only control --only "both shared"

The first row is the control: central training in as many steps as a member takes, on as many examples as all members
see together. What the other rows lose against it is the price of federation. Two more central rows take the members'
batch: for as many steps as a member takes, and for as many as all members take together. Where the data are non-IID
there are also a GAN that is conditioned on classes, one whose discriminators are published and not averaged, and flow
matching. With --only, the table has only the rows that were asked for. The samples of the first seed's runs are written
to gan.png beside the results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from comparing import quality_cells, ratio_cell
from gans import SEEDS, floor_of, flow, gan, gan_results, judged, learner, picture_file, rounds
from harness import Experiment
from PIL import Image, ImageDraw
from reporting import Options, markdown, read_options
from results import Result
from settings import Setting

SPLITS: Mapping[str, str] = {
    "IID": "iid",
    "Dirichlet(0.5)": "dirichlet:0.5",
    "2 classes": "classes:2",
}
"""How the data is partitioned: the name in the table, and the value of `--partition`."""

SKEWED = {name: SPLITS[name] for name in ("Dirichlet(0.5)", "2 classes")}

CONTROL, CENTRAL = "control", "central"

SHOWN = (
    CONTROL,
    *(f"{way}, Dirichlet(0.5)" for way in ("one member alone", "both shared", "flow matching")),
)
"""The settings whose samples are put side by side."""

MEMBERS, CLASSES = 5, 10

HEADING, GREYS = 14, 16
"""Height in pixels of each setting's heading, and levels of grey, in the picture that compares the samples."""


def main() -> None:
    options = read_options(__doc__ or "", SEEDS)
    chosen = settings(options)
    results = gan_results(Experiment(chosen, judged), options, some_rows=True)
    print(markdown(table(options, results)))
    print(f"\nreal training pictures: {floor_text(chosen[0], options.device)}")
    if results.keys() >= set(SHOWN):
        compare_samples(options, SHOWN, options.out / "gan.png")


def settings(options: Options) -> list[Setting]:
    """The controls, central training, and what members do on each partition."""
    count = rounds(options)
    central = gan(options, CENTRAL, members=1, rounds=MEMBERS * count, every=count)
    split = [
        gan(options, f"{way}, {name}", members=MEMBERS, partition=rule, **fields)
        for way, (fields, splits) in ways(options).items()
        for name, rule in splits.items()
    ]
    return [
        control(options, CONTROL, learner(options)),
        control(options, f"{CONTROL}, conditional", conditional(options)),
        control(options, f"{CONTROL}, flow matching", flow(options)),
        central,
        *split,
    ]


def control(options: Options, name: str, learner: Mapping[str, Any]) -> Setting:
    """Central training at a member's steps and all members' examples: its batch is that of all members together."""
    return gan(options, name, members=1, learner={**learner, "batch": MEMBERS * learner["batch"]})


def ways(options: Options) -> Mapping[str, tuple[Mapping[str, Any], Mapping[str, str]]]:
    """What members do with their part of the data: fields of the setting, and the partitions."""
    both = {"strategy": {"preset": "fedavg"}}
    published = {"average": ["generator*"], "publish": ["discriminator*"]}
    return {
        "one member alone": ({"alone": 0}, SPLITS),
        "generator shared": ({"strategy": {"preset": "fedper"}}, SPLITS),
        "both shared": (both, SPLITS),
        "discriminators published": ({"strategy": {"share": published}}, SKEWED),
        "both shared, conditional": ({**both, "learner": conditional(options)}, SKEWED),
        "flow matching": ({**both, "learner": flow(options)}, SKEWED),
    }


def conditional(options: Options) -> dict[str, Any]:
    """The manifest's section for a GAN that is conditioned on classes."""
    return {**learner(options), "classes": CLASSES}


def table(options: Options, results: Mapping[str, list[Result]]) -> list[dict[str, str]]:
    """A row for each setting that has results, whose FID is compared with that of the control."""
    end, baseline = rounds(options), results.get(CONTROL)
    rows = {
        "control: central, members' steps and examples": (CONTROL, end),
        "central, a member's steps and batch": (CENTRAL, end),
        "central, all members' steps": (CENTRAL, MEMBERS * end),
    }
    named = {name for name, _ in rows.values()}
    rows |= {one.name: (one.name, end) for one in settings(options) if one.name not in named}
    return [
        {
            "training": row,
            **quality_cells(results[name], round),
            "FID / control": ratio_cell(results[name], baseline, round, end) if baseline else "-",
        }
        for row, (name, round) in rows.items()
        if name in results
    ]


def floor_text(setting: Setting, device: str | None) -> str:
    """The figures of real training pictures in place of samples, with their standard errors."""
    floor = floor_of(setting, device)
    kid = f"KID {floor['kid']:.4f} ± {floor['kid_error']:.4f}"
    return f"{kid}, FID {floor['fid']:.2f} ± {floor['fid_error']:.2f}"


def compare_samples(options: Options, names: Sequence[str], path: Path) -> None:
    """Put the first seed's samples of several settings side by side, all from the same z."""
    files = [picture_file(options.out / "samples", name, options.seeds[0]) for name in names]
    pictures = [_opened(file) for file in files]
    width, height = pictures[0].size
    whole = Image.new(pictures[0].mode, ((width + HEADING) * len(pictures), height + HEADING))
    draw = ImageDraw.Draw(whole)
    for index, (name, picture) in enumerate(zip(names, pictures, strict=True)):
        left = (width + HEADING) * index
        draw.text((left, 0), name.partition(", ")[0], fill="white")
        whole.paste(picture, (left, HEADING))
    whole.quantize(GREYS).save(path, optimize=True)


def _opened(file: Path) -> Image.Image:
    with Image.open(file) as picture:
        return picture.copy()


if __name__ == "__main__":
    main()
