"""The ledger, seen from Python. Nothing here depends on machine learning."""
