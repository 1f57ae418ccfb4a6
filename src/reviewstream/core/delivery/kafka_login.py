"""Kafka login with OpenID Connect client credentials; librdkafka fetches the tokens.

Source: librdkafka, "Configuration properties", `sasl.oauthbearer.*`.
"""

from reviewstream.settings import KafkaSettings, secret_value


def oauth_login(settings: KafkaSettings) -> dict[str, str | None]:
    """Return librdkafka's settings, including the secret; empty if no token URL is set."""
    if settings.oauth_token_url is None:
        return {}
    return {
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": settings.oauth_token_url,
        "sasl.oauthbearer.client.id": settings.oauth_client_id,
        "sasl.oauthbearer.client.secret": secret_value(settings.oauth_client_secret),
        "sasl.oauthbearer.scope": settings.oauth_scope,
    }
