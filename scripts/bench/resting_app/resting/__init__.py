"""A Flower app that does nothing, with a model of the reference size."""
