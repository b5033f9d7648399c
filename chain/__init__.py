"""The ledger seen from Python. Knows nothing of learning."""

from chain.recursion import recursion_limit

with recursion_limit():
    import py_ecc  # noqa: F401  eth_account loads it later; a module lifts the limit only when it is first loaded
