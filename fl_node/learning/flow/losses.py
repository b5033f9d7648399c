"""The flow-matching loss.

Between noise at time 0 and a picture at time 1, each picture moves on a straight line at a constant velocity. The
network sees a point of the line and the time, and learns the velocity.

Source: Lipman et al. 2022 (arXiv:2210.02747), with the straight lines of Liu et al. 2022 (rectified flow,
arXiv:2209.03003).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


def velocity_loss(
    flow: nn.Module, x_NCHW: Tensor, noise_NCHW: Tensor, times_N: Tensor, labels_N: Tensor | None
) -> Tensor:
    """The mean squared error of the flow's velocity at times of the lines from noise to pictures."""
    times_N111 = times_N[:, None, None, None]
    between_NCHW = torch.lerp(noise_NCHW, x_NCHW, times_N111)
    velocity_NCHW = flow(between_NCHW, times_N, labels_N).float()
    return F.mse_loss(velocity_NCHW, x_NCHW - noise_NCHW)
