"""One module per outside system: the only importers of their vendor."""
