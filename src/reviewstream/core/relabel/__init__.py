"""Relabelling of published reviews: selection, scan, publication."""
