"""Runs a task's own code in a process of its own, which gets neither keys nor addresses of chain and store.

setup.py         what the child is told
frames.py        messages of JSON and arrays, over pipes
requests.py      what the parent asks
replies.py       what the child answers, and how the parent checks it
confinement.py   the child's environment, and what it does to itself
process.py       starts a child, waits for it, kills it
learner.py       a learner whose work a child does
serve.py         the child's program
"""
