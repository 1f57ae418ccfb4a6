"""Capabilities of an endpoint, found by a few small requests."""
