"""A mock of OpenAI's chat completions: a real HTTP server that answers, refuses and fails like it.

Use it in a `with` block (`OpenAIEndpoint`), or run it: `python -m
reviewstream_testbed.openai_endpoint --port 8080`. Any OpenAI client works with its `base_url`.
"""

from reviewstream_testbed.openai_endpoint.process import EndpointFailed, OpenAIEndpoint

__all__ = ["EndpointFailed", "OpenAIEndpoint"]
