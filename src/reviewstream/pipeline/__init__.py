"""The steps of a batch, written against ports."""
