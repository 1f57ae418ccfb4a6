"""The differences between endpoints that speak OpenAI's chat completions."""
