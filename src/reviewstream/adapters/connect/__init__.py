"""Kafka Connect: its REST interface, and the keys of the connector that writes the index."""
