"""Bytes that are hashed, and where they lie: canonical encodings of models and updates, and the store."""
