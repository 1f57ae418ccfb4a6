"""Faults of a network."""
