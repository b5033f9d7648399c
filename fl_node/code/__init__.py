"""A task's own code, as a blob: packed by whoever opens the task, read and consented to by whoever runs it.

blob.py          reads a code blob: its kind, files, texts and tags
packing.py       packs a file, a wheel, a folder or an installed package
unpacking.py     writes it where Python can import it
requirements.py  what the code needs, and what this machine has
consent.py       which code a member allows

Nothing here runs or imports any of it.
"""
