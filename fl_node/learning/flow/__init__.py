"""Flow matching: one network, which learns the velocity at which noise moves to pictures.

options.py        the knobs
models.py         the network;  initial.py  its initial values
training_step.py  one training step
evaluation.py     the held-out loss during training
samples.py        draws samples
"""

from collections.abc import Collection
from functools import partial

from fl_node.learning.averages import drawing_part
from fl_node.learning.flow.evaluation import held_out_loss
from fl_node.learning.flow.initial import initial
from fl_node.learning.flow.models import build
from fl_node.learning.flow.options import FlowOptions, flow_options
from fl_node.learning.flow.samples import sampler
from fl_node.learning.flow.training_step import (
    LOSSES,
    draw,
    features,
    prepare_training,
    step,
    tune,
)
from fl_node.learning.kind import Kind
from fl_node.learning.labels import verify_conditions
from fl_node.learning.sample_judge import SampleJudge


def _usage(options: FlowOptions, parts: Collection[str]) -> list[str]:
    flow = drawing_part(parts, "flow")
    if flow is None:
        return []
    given = f"torch.randn(64, {options.channels}, {options.size}, {options.size})"
    given += f", steps={options.sampling_steps}"
    if options.classes:
        given += f", labels_N=torch.arange(64) % {options.classes}"
    return [
        "from fl_node.learning.flow.samples import sample",
        f'pictures = sample(model["{flow}"], {given})  # values from -1 to 1',
    ]


FLOW = Kind(
    options=flow_options,
    build=build,
    initial=initial,
    verify=verify_conditions,
    prepare_training=prepare_training,
    tune=tune,
    rates=("rate",),
    losses=LOSSES,
    draw=draw,
    step=step,
    features=features,
    held_out_loss=held_out_loss,
    judge=partial(SampleJudge, sampler),
    usage=_usage,
    sampler=sampler,
)

__all__ = ["FLOW"]
