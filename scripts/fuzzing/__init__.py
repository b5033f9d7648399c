"""Hostile input for every decoder, from a seed.

mutations.py  what is done to genuine bytes
decoders.py   the decoders, each with genuine samples and the errors that it may raise
trying.py     tries inputs, and counts what came of them
"""
