"""How far samples are from real pictures, as pure functions over features: no torch, no pictures, no files.

kid.py       kernel inception distance: unbiased, with a standard error
fid.py       Fréchet inception distance
coverage.py  which classes the samples show

Features are float arrays named by their shape: N samples, D features. Where they come from is for
`fl_node.learning.extractor`; a distance means something only together with its extractor and the two sample counts.
"""

from fl_node.measures.coverage import Coverage, coverage
from fl_node.measures.fid import fid
from fl_node.measures.kid import Estimate, kid, kid_with_error

__all__ = ["Coverage", "Estimate", "coverage", "fid", "kid", "kid_with_error"]
