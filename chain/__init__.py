"""The ledger seen from Python. Knows nothing of learning."""
