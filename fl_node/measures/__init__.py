"""Distances between samples and real pictures, as pure functions of features, without torch, pictures or files.

kid.py       kernel inception distance: unbiased, with a standard error
fid.py       Fréchet inception distance, with a standard error from a bootstrap
coverage.py  which classes the samples show

Features are float arrays named by their shape: N samples, D features. They come from `fl_node.learning.extractor`. A
distance is meaningful only together with its extractor and the two numbers of samples.
"""

from fl_node.measures.coverage import Coverage, coverage
from fl_node.measures.fid import fid, fid_draws, fid_with_error
from fl_node.measures.kid import Estimate, kid, kid_with_error

__all__ = [
    "Coverage",
    "Estimate",
    "coverage",
    "fid",
    "fid_draws",
    "fid_with_error",
    "kid",
    "kid_with_error",
]
