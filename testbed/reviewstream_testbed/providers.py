"""Providers: embedded (child processes), containers, or external (the user's own servers)."""

from collections.abc import Mapping

from reviewstream_testbed.testbed_error import TestbedError

EMBEDDED = "embedded"
CONTAINERS = "containers"
VARIABLES = {
    "kafka": "REVIEWSTREAM_TEST_KAFKA",
    "schema_registry": "REVIEWSTREAM_TEST_SCHEMA_REGISTRY",
    "kafka_connect": "REVIEWSTREAM_TEST_CONNECT",
    "elasticsearch": "REVIEWSTREAM_TEST_ELASTICSEARCH",
    "openai_endpoint": "REVIEWSTREAM_TEST_OPENAI",
}
OPENAI_API_KEY = "REVIEWSTREAM_TEST_OPENAI_API_KEY"


def external_addresses(provider: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the address of each external part.

    Raises:
        TestbedError: The provider is unknown, or an address is missing or malformed.
    """
    match provider:
        case "embedded" | "containers":
            return {}
        case "external":
            return _addresses(environ)
        case _:
            known = "embedded, containers and external"
            raise TestbedError(f"no such provider: {provider} (there are {known})")


def _addresses(environ: Mapping[str, str]) -> dict[str, str]:
    found = {part: environ[name] for part, name in VARIABLES.items() if environ.get(name)}
    if not found:
        raise TestbedError(f"set one or more addresses: {', '.join(VARIABLES.values())}")
    for part, address in found.items():
        if (part != "kafka") != address.startswith(("http://", "https://")):
            form = "HOST:PORT,..." if part == "kafka" else "http://HOST:PORT or https://HOST"
            raise TestbedError(f"{VARIABLES[part]} must be of the form {form}")  # may hold a secret
    return found
