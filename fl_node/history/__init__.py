"""A task's log on chain, read as rounds."""
