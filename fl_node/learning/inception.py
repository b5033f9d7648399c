"""Inception-v3 as an extractor, as in published KID and FID values. Optional: needs torch-fidelity and its weights."""

from __future__ import annotations

import torch
from torch import Tensor

from fl_node.errors import Misuse
from fl_node.learning.extractor import weights_digest
from fl_node.learning.features import FeatureExtractor, Pixels, through
from fl_node.learning.tensors import module_arrays

LAYER = "2048"
"""The last pool, of 2048 features."""


def inception_extractor(device: torch.device) -> FeatureExtractor:
    """The network with the weights of Heusel et al. 2017 (arXiv:1706.08500), downloaded once by torch-fidelity.

    It resizes pictures as TensorFlow did at the time, so that values can be compared with published ones. Its classes
    are ImageNet's, which are not used here.

    Raises:
        Misuse: torch-fidelity is not installed, or the weights cannot be downloaded.
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError:
        raise Misuse(
            "the Inception extractor needs torch-fidelity: install ganchor[inception]"
        ) from None
    try:
        network = FeatureExtractorInceptionV3("inception-v3-compat", [LAYER])
    except (OSError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[:1]
        raise Misuse(f"Inception's weights could not be downloaded: {''.join(reason)}") from None
    network = network.to(device).eval()

    def extract(pixels_NCHW: Tensor) -> Tensor:
        return network(pixels_NCHW.expand(-1, 3, -1, -1))[0]

    def features(pixels_NCHW: Pixels):
        return through(extract, pixels_NCHW, device)

    return FeatureExtractor(weights_digest(module_arrays(network)), features)
