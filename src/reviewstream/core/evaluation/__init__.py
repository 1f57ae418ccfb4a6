"""Evaluation: labels compared with what was expected of them."""
