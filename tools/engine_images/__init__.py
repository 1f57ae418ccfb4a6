"""Builds container images and runs a private Docker engine: for maintainers, in no wheel."""
