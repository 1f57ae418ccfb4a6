"""Kafka: records, transactions, and its errors."""
