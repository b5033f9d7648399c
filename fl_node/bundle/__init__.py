"""A bundle: a task's whole history in one zip file, which is audited without its chain and its store.

events.py    the log as JSON;  state.py  what the contract's view shows, as JSON
proof.py     the proof that a block holds the history head, as JSON
summary.py   bundle.json, which says whose history it is, and blobs.json, which names blobs that lie elsewhere
archive.py   the zip: reproducible where it is written, bounded and checked where it is read
naming.py    which blobs belong to a history
writing.py   writes a bundle from a ledger and a store
reading.py   reads one, as a ledger and a store
"""
