"""The manifest's choices, each in a place named like its field: train/, encode/, send.py, combine/."""
