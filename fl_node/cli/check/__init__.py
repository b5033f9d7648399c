"""`ganchor check`: what would go wrong for a node, before it does.

check.py       the command
findings.py    what is found, as values and as a table
chain.py       endpoints, contract, clock, balance;  relay.py  the relay of a member without ether
storage.py     the store, and the uplink against the task's windows
machine.py     the task's code, the device, the state folder
"""
