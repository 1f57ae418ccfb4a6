"""Reconciliation: every line has one outcome, every labelled review is in the index."""
