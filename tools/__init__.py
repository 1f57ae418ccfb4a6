"""Programs for those who work on reviewstream; nothing of it is installed."""
