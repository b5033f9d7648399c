"""The losses of discriminator and generator. logits_N above 0 mean "real"; every loss is a mean over N."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from fl_node.learning.gan.options import Objective


def discriminator_loss(loss: Objective, real_logits_N: Tensor, fake_logits_N: Tensor) -> Tensor:
    """The discriminator's loss, without gradient penalty.

    Source: bce: Goodfellow et al. 2014 (arXiv:1406.2661); hinge: Lim and Ye 2017 (arXiv:1705.02894), in the form of
    Miyato et al. 2018 (arXiv:1802.05957); relativistic: Jolicoeur-Martineau 2018 (arXiv:1807.00734), paired as in
    Huang et al. 2024 (R3GAN, arXiv:2501.05441): each fake picture is compared with one real picture.
    """
    if loss == "bce":
        return F.softplus(-real_logits_N).mean() + F.softplus(fake_logits_N).mean()
    if loss == "hinge":
        return F.relu(1 - real_logits_N).mean() + F.relu(1 + fake_logits_N).mean()
    return F.softplus(fake_logits_N - real_logits_N).mean()


def generator_loss(loss: Objective, real_logits_N: Tensor | None, fake_logits_N: Tensor) -> Tensor:
    """The generator's loss; sources as for the discriminator's. bce has the non-saturating form.

    Args:
        loss: The objective.
        real_logits_N: Logits of the batch's real pictures; needed only if the loss `compares_with_real`.
        fake_logits_N: Logits of the generator's pictures.
    """
    if loss == "bce":
        return F.softplus(-fake_logits_N).mean()
    if loss == "hinge":
        return -fake_logits_N.mean()
    return F.softplus(real_logits_N - fake_logits_N).mean()


def compares_with_real(loss: Objective) -> bool:
    """Whether the generator's loss needs the logits of real pictures, which take another forward pass."""
    return loss == "relativistic"


def gradient_penalty(logits_N: Tensor, x_NCHW: Tensor) -> Tensor:
    """Mean squared norm of the logits' gradient with respect to the pictures; `x_NCHW` must require a gradient.

    On real pictures this is R1, on fake ones R2; both together make a GAN converge locally.

    Source: Mescheder et al. 2018 (arXiv:1801.04406); both at once as in R3GAN (arXiv:2501.05441).
    """
    (slope_NCHW,) = torch.autograd.grad(logits_N.sum(), x_NCHW, create_graph=True)
    return slope_NCHW.float().square().sum(dim=(1, 2, 3)).mean()
