"""Bytes to values and back, without sockets or files."""
