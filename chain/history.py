"""The arithmetic of the contract: commitments, cohorts and the running history head, as pure functions.

What is computed here is specified in contracts/ITrainingLedger.sol; the contract computes the same on chain.
"""
