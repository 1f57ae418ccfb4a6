"""The name of a model in the ledger, where OpenAI's models have their own names alone."""

from typing import Final

from reviewstream.settings import OpenAISettings

HOST: Final = "api.openai.com"


def ledger_name(settings: OpenAISettings) -> str:
    """Return the model's name in the ledger; see `OpenAISettings.ledger_name`."""
    if settings.ledger_name is not None:
        return settings.ledger_name
    address = settings.base_url.partition("://")[2].partition("?")[0].rstrip("/")
    host = address.partition("/")[0]
    if host == HOST or host.endswith(f".{HOST}"):
        return settings.model
    return f"{settings.model} at {address}"
