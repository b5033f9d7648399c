"""The command `ganchor`. Only this package connects concrete ledgers, stores and learners.

app.py         turns errors into one line and an exit code
exits.py       the exit codes
commands.py    the table of commands; a command is imported when it is called
options.py     options that several commands have
accounts.py    the account that signs
wiring.py      opens the ledger that the options name, and the evidence in a workspace
parts.py       which data each member gets;  own_code.py  what its own code is told, and may do
subjects.py    finds the models that evaluate, samples and weights work on
tables.py      tables of rounds and audits;  words.py  short texts

Each command is a file of the same name. demo/, node/ and evaluate/ are folders:
demo/          demo: its folder (folder.py), its processes (processes.py), what it shows while it runs (watching.py)
node/          node: what it trains on (learners.py), whom it waits for (awaiting.py), what it shows (display.py)
service/       a node as a service: metrics, health, how it is stopped
evaluate/      evaluate and extractor: their results (evaluation.py, plots.py)
pictures.py looks at the pictures for `manifest new`, own_manifest.py writes it for one's own code.
"""

from fl_node.cli.app import main

__all__ = ["main"]
