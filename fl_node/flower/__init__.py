"""Flower and the ledger. Needs `ganchor[flower]`; only `app` works without.

An app as a learner, with no server:

app.py       what an app's pyproject.toml and a node's configuration say
open.py      opens an app inside the child process;  genesis.py  the model that a task of it starts from
learner.py   asks the app to train and to evaluate;  reply.py  what it answered
state.py     the app's `Context.state` as bytes
inner.py     all that Flower's public modules do not offer

A running federation with a ledger:

joining.py   the two lines for an app's author, and the file that says for which member a SuperNode acts
mod.py       makes, reveals and attests to updates as a client mod;  passing.py  passes a train message on as a learner
strategy.py  aggregates what was revealed;  settling.py  what that comes to
records.py   what mod and strategy tell each other
edge.py      a federation whose nodes are one member's devices
"""
