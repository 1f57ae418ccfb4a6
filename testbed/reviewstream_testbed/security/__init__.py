"""TLS, passwords and tokens of a secure testbed."""
