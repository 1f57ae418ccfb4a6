"""Records and rules, a folder for each feature: no I/O, no clock, no chance, no vendor."""
