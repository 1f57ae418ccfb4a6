"""Claims about speed, measured side by side."""
