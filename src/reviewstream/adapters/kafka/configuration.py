"""librdkafka's configuration, made from our settings.

Source: librdkafka, "Configuration properties".
"""

from typing import Any, Final

from reviewstream.settings import KafkaSettings, secret_value

REQUEST_TIMEOUT: Final = 10.0  # seconds for one request to the brokers
SLICE: Final = 0.1  # seconds between status checks during a longer wait
QUEUE_SIZE: Final = 64 << 10  # KiB of records waiting in one sink


def client_config(settings: KafkaSettings) -> dict[str, Any]:
    """Return librdkafka's configuration; `settings.client` overrides the rest."""
    ours = {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": "reviewstream",
        # Each task has a separate client: librdkafka's 100 ms are longer than a task's writing.
        "reconnect.backoff.ms": 10,
        "retry.backoff.ms": 10,
        "security.protocol": settings.security_protocol,
        "sasl.mechanism": settings.sasl_mechanism,
        "sasl.username": settings.sasl_username,
        "sasl.password": secret_value(settings.sasl_password),
        "ssl.ca.location": settings.ssl_ca_location,
        **oauth_login(settings),
    }
    secrets = {name: secret.get_secret_value() for name, secret in settings.client_secrets.items()}
    given = {name: value for name, value in ours.items() if value is not None}
    return given | settings.client | secrets


def producer_config(settings: KafkaSettings) -> dict[str, Any]:
    """Return the configuration of a producer that neither loses, doubles nor reorders records."""
    return {
        "acks": "all",
        "enable.idempotence": True,
        "linger.ms": 20,
        "partitioner": "murmur2_random",  # the Java clients' choice: one key, one partition
        "queue.buffering.max.kbytes": QUEUE_SIZE,
        "delivery.timeout.ms": int(settings.delivery_timeout * 1000),
    } | client_config(settings)


def oauth_login(settings: KafkaSettings) -> dict[str, str | None]:
    """Return the login by OpenID Connect client credentials; librdkafka fetches the tokens.

    Includes the secret; empty if no token URL is set.
    """
    if settings.oauth_token_url is None:
        return {}
    return {
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": settings.oauth_token_url,
        "sasl.oauthbearer.client.id": settings.oauth_client_id,
        "sasl.oauthbearer.client.secret": secret_value(settings.oauth_client_secret),
        "sasl.oauthbearer.scope": settings.oauth_scope,
    }
