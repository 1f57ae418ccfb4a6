"""Retry: how long to wait between attempts, and in all."""
