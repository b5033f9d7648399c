"""The chain's log of a task, read as rounds."""
