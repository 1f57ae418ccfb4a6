"""Reviews as typed records, and a total function from bytes to a review or a rejection."""
