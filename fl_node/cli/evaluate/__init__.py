"""`ganchor evaluate` and `ganchor extractor`."""
