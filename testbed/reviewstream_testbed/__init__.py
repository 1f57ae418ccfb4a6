"""Real servers on loopback ports, for tests. Imports nothing from `reviewstream`."""
