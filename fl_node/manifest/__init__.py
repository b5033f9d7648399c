"""What the members agree on before training."""
