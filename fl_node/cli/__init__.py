"""The command `ganchor`: the only place where concrete ledgers, stores and learners are put together.

app.py         the commands, and how errors become one line and an exit code
options.py     the options that commands share
wiring.py      from options to ledger, store, manifest and learner
chain.py       devnet, deploy, key, status
task.py        task open
node.py        node
audit.py       audit
evaluate.py    evaluate: of what (subjects.py), and what was found (evaluation.py, plots.py)
extractors.py  extractor
simulate.py    simulate
demo.py        demo
tables.py      what people see
"""

from fl_node.cli.app import main

__all__ = ["main"]
