"""The choices of a manifest's `[strategy]`, each in a module named like its field: train, encode, send, combine."""
