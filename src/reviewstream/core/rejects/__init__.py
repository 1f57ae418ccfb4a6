"""Rejected lines and dead letters: listing, repair and replay."""
