"""Flow matching: one network, which learns the velocity at which noise moves to pictures.

options.py        the knobs
models.py         the network;  initial.py  its initial values
losses.py         the loss;  training.py  how a member trains it
evaluation.py     the held-out loss during training
samples.py        draws samples
"""

from collections.abc import Collection
from functools import partial

from fl_node.learning.averages import drawing_part
from fl_node.learning.flow.initial import initial
from fl_node.learning.flow.options import FlowOptions, flow_options
from fl_node.learning.flow.samples import sampler
from fl_node.learning.flow.training import FlowMatching
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
    learner=FlowMatching(),
    options=flow_options,
    initial=initial,
    verify=verify_conditions,
    judge=partial(SampleJudge, sampler),
    usage=_usage,
    sampler=sampler,
)

__all__ = ["FLOW"]
