"""Models over HTTP: OpenAI's chat completions API, prices, key command, response limit."""
