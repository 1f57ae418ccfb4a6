"""A mock of OpenAI's chat completions: an HTTP server with the same answers, errors and faults.

Use it in a `with` block (`OpenAIEndpoint`), or run it: `python -m
reviewstream_testbed.mock_openai --port 8080`. Any OpenAI client works with its `base_url`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reviewstream_testbed.mock_openai.process import EndpointFailed, OpenAIEndpoint
else:

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from reviewstream_testbed.mock_openai import process  # noqa: PLC0415 - see below

        return getattr(process, name)


# Imported on first use, so that `python -m` can report a missing package in a sentence.
__all__ = ["EndpointFailed", "OpenAIEndpoint"]
