"""Finds out by a few small questions what an endpoint supports."""
