"""Blobs, which are bytes named by their hash: canonical encodings of models and updates, and the store."""
