"""Adapters: one module or package for each outside system; no other imports its vendor."""
