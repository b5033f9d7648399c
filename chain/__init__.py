"""The ledger seen from Python. Knows nothing of learning."""

from chain.recursion import recursion_limit

with recursion_limit():
    import py_ecc  # noqa: F401  web3 loads it later; a module lifts the limit only when it is first loaded
