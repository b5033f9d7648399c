"""E4 with a GAN: traffic against quality, for several codecs, at Dirichlet(0.5) with both networks shared.

    uv run scripts/experiments/gan_bytes.py

The upload is a member's update. The download is the model that every member starts from, which no codec shrinks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from codecs_quality import CODECS, NOTHING
from comparing import quality_cells, ratio_cell
from gans import SEEDS, gan, gan_results, judged, rounds
from harness import Experiment
from reporting import Options, markdown, read_options
from results import Result
from settings import Setting

CHOSEN = ("QSGD, 2 bits", "one in 16, rotate, 2 bits", "top 1 %, 8 bits, feedback")
"""Some of the classifier's codecs: a mild one, and the best of those that shrink updates to about a hundredth."""

BOTH_SHARED = {"preset": "fedavg"}
"""The same as in gan.py, so that the row without a codec reuses its result."""

STRATEGIES: Mapping[str, Mapping[str, Any]] = {
    NOTHING: BOTH_SHARED,
    **{name: {**BOTH_SHARED, "encode": CODECS[name]} for name in CHOSEN},
}


def main() -> None:
    options = read_options(__doc__ or "", SEEDS)
    results = gan_results(Experiment(settings(options), judged), options)
    baseline = results[NOTHING]
    print(markdown([row(options, name, results[name], baseline) for name in STRATEGIES]))


def settings(options: Options) -> list[Setting]:
    """A setting for each codec."""
    return [
        gan(options, name, strategy, partition="dirichlet:0.5")
        for name, strategy in STRATEGIES.items()
    ]


def row(
    options: Options, name: str, results: Sequence[Result], baseline: Sequence[Result]
) -> dict[str, str]:
    """What a codec costs and saves."""
    end = rounds(options)
    update, plain = _update_bytes(results[0]), _update_bytes(baseline[0])
    return {
        "codec": name,
        "update, KB": f"{update / 1000:.1f}",
        "smaller": f"{plain / update:.1f} x",
        "model down, KB": f"{results[0].down[0] / 1000:.1f}",
        **quality_cells(results, end),
        "FID / float32": ratio_cell(results, baseline, end, end),
    }


def _update_bytes(result: Result) -> float:
    return sum(result.up) / sum(result.senders)


if __name__ == "__main__":
    main()
