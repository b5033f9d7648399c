"""Where a model comes from, signed: a statement beside its file, in the form of OpenSSF's model signing.

claim.py      which model of which history a file is, read from a ledger and a store
statement.py  the in-toto statement that says so: the bytes that are signed
envelope.py   the statement with its signature, as a Sigstore bundle
keys.py       the key that signs: an elliptic curve key in a PEM file
checking.py   whether statement, file and history agree
"""
