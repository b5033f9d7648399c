"""Two classifiers. Each has a `base`, x_NCHW -> features_ND, and a `head`, a linear layer features_ND -> logits_NK.

Both use group norm, ResNet-18 too: batch norm fails first if the members' data are non-IID (Hsieh et al. 2019,
arXiv:1910.00189, section 5).
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from fl_node.learning.classifier.options import ClassifierOptions
from fl_node.learning.norms import group_norm

BLOCKS = 4


def build(options: ClassifierOptions) -> nn.ModuleDict:
    """The whole model, with arbitrary weights."""
    base = {"cnn": _cnn, "resnet18": _resnet18}[options.network]
    # Creating modules draws weights, which are replaced later. The process's random numbers must not change.
    with torch.random.fork_rng(devices=[]):
        features = options.width << (BLOCKS - 1)
        return nn.ModuleDict({"base": base(options), "head": nn.Linear(features, options.classes)})


class Residual(nn.Module):
    """ResNet's basic block: two convolutions beside a shortcut (He et al. 2015, arXiv:1512.03385, figure 2)."""

    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.first = _block(width_in, width, 3, stride)
        self.second = _block(width, width, 3)
        same = stride == 1 and width_in == width
        self.shortcut = nn.Identity() if same else _block(width_in, width, 1)
        self._stride = stride

    def forward(self, x_NCHW: Tensor) -> Tensor:
        inner = self.second(F.relu(self.first(x_NCHW), inplace=True))
        # The same as a shortcut with a stride, but on CPUs with no more than AVX2 the backward pass of a strided 1x1
        # convolution of fewer than 8 channels writes outside its memory (torch 2.15 with oneDNN 3.13).
        seen_NCHW = x_NCHW[:, :, :: self._stride, :: self._stride]
        return F.relu(inner + self.shortcut(seen_NCHW), inplace=True)


def _cnn(options: ClassifierOptions) -> nn.Sequential:
    """Four blocks of convolution, pooling, norm and ReLU; each block is twice as wide as the one before."""
    blocks: OrderedDict[str, nn.Module] = OrderedDict()
    width_in = options.channels
    for number in range(BLOCKS):
        width = options.width << number
        # Pooling comes first, so that norm and ReLU have a quarter of the work.
        blocks[f"block{number + 1}"] = _block(width_in, width, 3, then=nn.MaxPool2d(2)).append(
            nn.ReLU(inplace=True)
        )
        width_in = width
    return _pooled(blocks)


def _resnet18(options: ClassifierOptions) -> nn.Sequential:
    """ResNet-18 for small pictures: the first convolution is 3x3, has stride 1, and is not followed by pooling."""
    stem = _block(options.channels, options.width, 3).append(nn.ReLU(inplace=True))
    blocks: OrderedDict[str, nn.Module] = OrderedDict(stem=stem)
    width_in = options.width
    for number in range(BLOCKS):
        width = options.width << number
        blocks[f"stage{number + 1}"] = nn.Sequential(
            Residual(width_in, width, 1 if number == 0 else 2), Residual(width, width, 1)
        )
        width_in = width
    return _pooled(blocks)


def _pooled(blocks: OrderedDict[str, nn.Module]) -> nn.Sequential:
    return nn.Sequential(OrderedDict(blocks, mean=nn.AdaptiveAvgPool2d(1), features=nn.Flatten()))


def _block(
    width_in: int, width: int, kernel: int, stride: int = 1, then: nn.Module | None = None
) -> nn.Sequential:
    """Convolution, optionally another module, and norm."""
    conv = nn.Conv2d(width_in, width, kernel, stride, kernel // 2, bias=False)
    parts: OrderedDict[str, nn.Module] = OrderedDict(conv=conv)
    if then is not None:
        parts["then"] = then
    return nn.Sequential(OrderedDict(parts, norm=group_norm(width)))
