"""`ganchor demo`."""
