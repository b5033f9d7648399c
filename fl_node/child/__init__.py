"""Runs a task's own code in a process of its own, which gets neither keys nor addresses of chain and store."""
