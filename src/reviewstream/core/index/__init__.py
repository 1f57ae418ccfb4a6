"""The search index: mapping, connector, set-up and queries."""
