"""The base of each section of the settings: types with bounds, secrets, and checks of URLs."""

import re
from typing import Annotated, ClassVar, Final, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic_core import Url

SECRET_WORDS: Final = (  # parts of the names of settings with secret values
    "password",
    "secret",
    "passphrase",
    "jaas",
    "user.info",
    "api.key",
    "key.pem",
    "keystore.key",
)
_LOGINS: Final = (  # settings for credentials, which a URL must not contain
    "username",
    "password",
    "token",
    "api_key",
    "oauth_client_id",
    "oauth_client_secret",
)
_ZONE: Final = re.compile(r"%25[^]]*]")  # browsers refuse it in an IPv6 address, clients do not
_COMPLETIONS: Final = "/chat/completions"
_WEB: Final = re.compile(r"https?://[^/?#]", re.IGNORECASE)
_NUMBER: Final = re.compile(r"(?<=\.)\d+")  # browsers also refuse a name that ends in a number


def is_secret(name: str) -> bool:
    """Say whether a setting of librdkafka, Connect or a connector is secret, by its name."""
    dotted = re.sub("[-_]", ".", name.lower())
    # Only at the end: `sasl.oauthbearer.token.endpoint.url` is an address, not a secret.
    return dotted.endswith("token") or any(word in dotted for word in SECRET_WORDS)


def is_readable(url: str) -> bool:
    """Say whether clients can read a URL."""
    try:
        Url(_NUMBER.sub("n", _ZONE.sub("]", url)))
    except ValueError:  # not a port number, half an IPv6 address, an invalid host
        return False
    return url.isprintable()


def urls_in(urls: str) -> list[str]:
    """Return the URLs of a list; a path may contain a comma, too."""
    parts = urls.split(",")
    return parts if all("://" in part for part in parts) else [urls]


def _named(name: str) -> str:
    if not name.strip():
        raise ValueError("is empty")
    return name


# Bounds that catch typing errors, and that clocks, clients and SQLite can represent.
Name: TypeAlias = Annotated[str, AfterValidator(_named)]
Count: TypeAlias = Annotated[int, Field(ge=1, le=10**9)]
Bytes: TypeAlias = Annotated[int, Field(ge=1, le=1 << 50)]
Replicas: TypeAlias = Annotated[int, Field(ge=0, le=1_000)]
Seconds: TypeAlias = Annotated[float, Field(gt=0, le=10**6)]
Dollars: TypeAlias = Annotated[float, Field(ge=0, le=10**9)]
PerMinute: TypeAlias = Annotated[float, Field(ge=0.001, le=10**12)]


def secret_value(secret: SecretStr | None) -> str | None:
    """Return the text of a secret, or None."""
    return None if secret is None else secret.get_secret_value()


class Section(BaseModel):
    """A section of the settings: frozen, without unknown names, and with URLs that may be shown."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )
    takes_urls: ClassVar[bool] = False  # several, separated by commas

    @field_validator("url", "base_url", "oauth_token_url", check_fields=False)
    @classmethod
    def _can_be_shown(cls, url: object) -> object:
        """Refuse a URL that may contain a password, unless the whole URL is a secret.

        Some clients read the text before an `@`, anywhere in the URL, as a password, and messages
        show the URL.
        """
        if isinstance(url, str) and "@" in url:
            own = ", ".join(name for name in _LOGINS if name in cls.model_fields)
            raise ValueError(
                f"leave user and password out of the URL, for it is shown: set {own} instead;"
                " an @ that belongs to a path is written %40"
            )
        return url

    @field_validator("url", "base_url", "oauth_token_url", check_fields=False)
    @classmethod
    def _can_be_read(cls, url: object) -> object:
        if isinstance(url, str) and len(urls_in(url)) > 1 and not cls.takes_urls:
            raise ValueError("is a list: name one server by its URL")
        if isinstance(url, str) and not all(map(is_readable, urls_in(url))):
            raise ValueError("is not a URL: nobody can read its host or port")
        if isinstance(url, str) and not all(map(_WEB.match, urls_in(url))):
            raise ValueError("is no address of a web server: it begins with http:// or https://")
        if isinstance(url, str) and url.partition("?")[0].rstrip("/").endswith(_COMPLETIONS):
            raise ValueError(f"leave {_COMPLETIONS} out: the client adds it")
        return url
