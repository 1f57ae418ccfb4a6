"""Exactly-once delivery: Avro records, fences, markers, transactions, checkpoint metadata."""
