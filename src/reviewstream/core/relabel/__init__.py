"""Labels published reviews again: selection, scan, publication."""
