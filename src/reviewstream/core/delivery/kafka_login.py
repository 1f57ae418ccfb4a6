"""How librdkafka gets its tokens itself, by OpenID Connect's client credentials.

Source: librdkafka, "Configuration properties", `sasl.oauthbearer.*`.
"""

from reviewstream.settings import KafkaSettings, secret_value


def oauth_login(settings: KafkaSettings) -> dict[str, str | None]:
    """Return librdkafka's settings, the secret among them; nothing where no token is wanted."""
    if settings.oauth_token_url is None:
        return {}
    return {
        "sasl.oauthbearer.method": "oidc",
        "sasl.oauthbearer.token.endpoint.url": settings.oauth_token_url,
        "sasl.oauthbearer.client.id": settings.oauth_client_id,
        "sasl.oauthbearer.client.secret": secret_value(settings.oauth_client_secret),
        "sasl.oauthbearer.scope": settings.oauth_scope,
    }
