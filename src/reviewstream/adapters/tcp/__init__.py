"""The review server and its client over TCP."""
