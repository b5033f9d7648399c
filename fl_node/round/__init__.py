"""One round's arithmetic: a member's contribution, the validity rules, the aggregate."""
