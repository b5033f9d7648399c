"""`ganchor node`.

node.py        the command
learners.py    what the member trains on, and the learner that the task's manifest names
awaiting.py    whom a waiting node waits for
display.py     what a display is told;  people.py  lines and a bar for people;  machines.py  JSON lines
"""
