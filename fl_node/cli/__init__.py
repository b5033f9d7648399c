"""The command `ganchor`: the only place where concrete ledgers, stores and learners are put together.

app.py         how errors become one line and an exit code
exits.py       the exit codes
commands.py    the commands, a line each; a command is imported when it is called
options.py     the options that commands share
accounts.py    the account that signs
wiring.py      from options to ledger, and to the evidence in a workspace
parts.py       which pictures are whose
subjects.py    which models a command is about
tables.py      what people see of rounds and audits;  words.py  short texts

A command is a file of its own name. demo/ and evaluate/ are folders:
demo/          demo: its folder (folder.py), its processes (processes.py), what it shows meanwhile (watching.py)
evaluate/      evaluate and extractor: what was found (evaluation.py, plots.py)
awaiting.py is what a waiting node says; pictures.py how `manifest new` looks at pictures.
"""

from fl_node.cli.app import main

__all__ = ["main"]
