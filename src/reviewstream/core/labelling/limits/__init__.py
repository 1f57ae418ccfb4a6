"""The rate limit and the budget shared by all tasks."""
