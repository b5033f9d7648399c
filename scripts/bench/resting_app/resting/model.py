"""Arrays with the shapes of a DCGAN generator for 64x64 pictures: 14.3 MB in float32."""

import numpy as np

SHAPES = {
    "generator.1.weight": (100, 512, 4, 4),
    "generator.2.weight": (512, 256, 4, 4),
    "generator.3.weight": (256, 128, 4, 4),
    "generator.4.weight": (128, 64, 4, 4),
    "generator.5.weight": (64, 3, 4, 4),
    "generator.norms": (1_920,),
}


def arrays(seed=0):
    """The arrays by name, filled at random."""
    random = np.random.default_rng(seed)
    return {
        name: 0.02 * random.standard_normal(shape, dtype=np.float32)
        for name, shape in SHAPES.items()
    }


def flat(numbers):
    """One array of so many numbers."""
    return {"generator.weight": np.zeros(numbers, np.float32)}
