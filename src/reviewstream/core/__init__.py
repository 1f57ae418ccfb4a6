"""Records and rules, one package per feature: no I/O, clock, randomness or vendor."""
