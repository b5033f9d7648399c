"""One round's arithmetic: a member's contribution, the validity rules and the aggregate."""
