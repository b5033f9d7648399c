"""A witness: somebody who watches a task's history head from an endpoint of its own, and signs what it has seen.

keys.py        a witness's key, and the line by which others know it
note.py        whose history, how many events, which head, and the signatures under it: the bytes of docs/protocol.md
cosigning.py   signs such a note, and checks who did
watching.py    looks at the task, and refuses what does not extend what was signed before
"""
