"""A bundle: a task's whole history in one file, which can be audited when chain and store are gone.

events.py    the log as JSON;  state.py  what the contract's view shows, as JSON
"""
