"""Rejected lines and dead letters: listing, patching, sending again."""
