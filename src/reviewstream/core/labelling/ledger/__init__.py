"""The ledger of labels: retried access, and its maintenance."""
