"""Evaluation: labels compared with expected labels."""
