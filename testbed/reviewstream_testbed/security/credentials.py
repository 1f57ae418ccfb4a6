"""The credentials of a secure testbed: one certificate, one user, one password."""

import base64
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from reviewstream_testbed.security.certificates import Authority, Certificate

USER = "testbed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """The credentials of one run; only the folder's owner can read the files.

    Attributes:
        certificates: PEM file of the authority's certificate, for clients.
        trust_store: The same as a JKS file for Java.
        server: Certificate of every server.
        username: The user name for all servers.
        password: The password for all servers.
        api_key: API key for Elasticsearch, in its clients' format.
    """

    certificates: Path
    trust_store: Path
    server: Certificate
    username: str = USER
    password: str = field(repr=False)
    api_key: str = field(repr=False)

    @classmethod
    def new(cls, folder: Path) -> Self:
        """Create certificates and passwords."""
        authority = Authority(folder)
        key = f"{secrets.token_urlsafe(15)}:{secrets.token_urlsafe(24)}"
        return cls(
            certificates=authority.certificates,
            trust_store=authority.trust_store,
            server=authority.issue("server"),
            password=secrets.token_urlsafe(24),
            api_key=base64.b64encode(key.encode()).decode(),
        )

    @property
    def authorizations(self) -> frozenset[str]:
        """The accepted values of the HTTP header `Authorization`."""
        user = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return frozenset({f"Basic {user}", f"ApiKey {self.api_key}"})
