"""The servers as containers."""
