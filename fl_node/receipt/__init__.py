"""A receipt: one file that says whether a member's update is in a round, checked without chain, store and network.

claim.py     what became of a member's update in a round, as a log shows it
file.py      the file: whose history, its head, the claim, and the log that proves it
checking.py  holds a receipt against its own log, and its log against the rules and a head from elsewhere
"""
