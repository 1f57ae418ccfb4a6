"""Avro schemas: files, compatibility, differences, and their state in the registry."""
