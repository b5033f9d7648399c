"""How a member trains a user's own model."""

from __future__ import annotations

import json

from fl_node.child.setup import Setup
from fl_node.learning.options import OwnOptions

BATCH = 32
"""Examples in a step, if the manifest leaves it to the code."""


def own_options(setup: Setup) -> OwnOptions:
    """The options of a learner that is opened from a setup."""
    return OwnOptions(
        text=json.dumps(dict(setup.knobs), sort_keys=True),
        held_out=float(setup.held_out),
        batch=setup.batch or BATCH,
        share=setup.share,
        metrics=setup.metrics,
    )
