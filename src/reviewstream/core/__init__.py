"""Records and rules: pure functions, no I/O, no clock, no chance."""
