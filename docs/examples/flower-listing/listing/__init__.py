"""A Flower app: sites train a generator together, each against a discriminator of its own."""
