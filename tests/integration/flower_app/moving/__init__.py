"""A Flower app for tests: two lines of it know of a ledger."""
