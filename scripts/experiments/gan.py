"""E3: a GAN on central data, on one member's data alone, with the generator shared, and with both networks shared.

    uv run scripts/experiments/gan.py

In every setting a member takes the same number of steps, so that a node needs the same time. Central training is
measured twice: after the steps of one member, and after the steps of all members together, when it has seen the same
number of examples as they have. The samples of the first seed's runs are written to gan.png beside the results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gans import (
    floor_of,
    gan,
    gan_results,
    judged,
    picture_file,
    quality_cells,
    ratio_cell,
    rounds,
)
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

CENTRAL = "central"

MEMBERS = 5

WAYS: Mapping[str, Mapping[str, Any]] = {
    "one member alone": {"alone": 0},
    "generator shared": {"strategy": {"preset": "fedper"}},
    "both shared": {"strategy": {"preset": "fedavg"}},
}
"""What members do with their part of the data: fields of the setting."""

HEADING, GREYS = 14, 16
"""Height in pixels of each setting's heading, and levels of grey, in the picture that compares the samples."""


def main() -> None:
    options = read_options(__doc__ or "")
    chosen = settings(options)
    results = gan_results(Experiment(chosen, judged), options)
    floor = floor_of(chosen[0], options.device)
    print(markdown(table(options, results)))
    print(f"\nreal training pictures: KID {floor['kid']:.4f}, FID {floor['fid']:.2f}")
    names = [CENTRAL, *(f"{way}, Dirichlet(0.5)" for way in WAYS)]
    compare_samples(options, names, options.out / "gan.png")


def settings(options: Options) -> list[Setting]:
    """Central training, and each way of sharing on each partition."""
    count = rounds(options)
    central = gan(options, CENTRAL, members=1, rounds=MEMBERS * count, every=count)
    split = [
        gan(options, f"{way}, {name}", members=MEMBERS, partition=rule, **fields)
        for way, fields in WAYS.items()
        for name, rule in SPLITS.items()
    ]
    return [central, *split]


def table(options: Options, results: Mapping[str, list[Result]]) -> list[dict[str, str]]:
    """A row for each setting; its KID is compared with that of central training at both lengths."""
    end, central = rounds(options), results[CENTRAL]
    rows = {
        "central, a member's steps": (central, end),
        "central, all members' steps": (central, MEMBERS * end),
    }
    federated = [setting for setting in settings(options) if setting.name != CENTRAL]
    rows |= {setting.name: (results[setting.name], setting.rounds) for setting in federated}
    return [
        {
            "training": name,
            **quality_cells(runs, round),
            "KID / central, a member's steps": ratio_cell(runs, central, round, end),
            "KID / central, all steps": ratio_cell(runs, central, round, MEMBERS * end),
        }
        for name, (runs, round) in rows.items()
    ]


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
