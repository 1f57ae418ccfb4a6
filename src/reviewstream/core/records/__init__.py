"""Reviews as typed records, and the total function from bytes to one of them or its rejection."""
