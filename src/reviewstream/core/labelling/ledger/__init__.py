"""The ledger of labels: retried access and maintenance."""
