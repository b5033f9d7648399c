"""`ganchor node --log-to`: a node's rounds as curves, where its owner already looks at trainings.

opening.py     all of it for one node
rounds.py      what a node says, as numbers for each round
updates.py     the numbers of an update that the node committed to
drawing.py     samples of each round's model, for models that draw
trackers.py    where the numbers go;  places.py  what `--log-to` names
tensorboard.py wandb.py mlflow.py    a place each;  beside.py  in a thread, if it is a server
"""
