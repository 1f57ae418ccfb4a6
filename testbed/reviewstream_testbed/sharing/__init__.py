"""One testbed for several processes."""
