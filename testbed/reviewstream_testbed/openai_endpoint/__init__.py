"""A mock of OpenAI's chat completions: a real HTTP server that answers, refuses and fails like it.

Use it in a `with` block (`OpenAIEndpoint`), or run it: `python -m
reviewstream_testbed.openai_endpoint --port 8080`. Any OpenAI client works with its `base_url`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reviewstream_testbed.openai_endpoint.process import EndpointFailed, OpenAIEndpoint
else:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from reviewstream_testbed.openai_endpoint import process  # noqa: PLC0415 - see below

        return getattr(process, name)


# Looked up when they are first used: `python -m` imports this before it can say what is missing.
__all__ = ["EndpointFailed", "OpenAIEndpoint"]
