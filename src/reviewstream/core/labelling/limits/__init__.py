"""The rate limit and the budget that all tasks share."""
