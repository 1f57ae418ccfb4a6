"""Stores in a Redis, shared by the machines of a cluster."""
