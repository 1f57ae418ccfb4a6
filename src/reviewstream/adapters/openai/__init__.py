"""Models over HTTP: OpenAI's chat completions API, and what it needs."""
