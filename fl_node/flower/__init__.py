"""Flower and the ledger. Needs `ganchor[flower]`; only `app` works without.

An app as a learner, with no server:

app.py       what an app's pyproject.toml and a node's configuration say
open.py      opens an app inside the child process;  genesis.py  the model that a task of it starts from
learner.py   asks the app to train and to evaluate;  reply.py  what it answered
state.py     the app's `Context.state` as bytes
inner.py     all that Flower's public modules do not offer
"""
