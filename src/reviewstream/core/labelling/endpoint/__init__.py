"""Endpoints that speak OpenAI's chat completions, and their differences."""
