"""What protects the servers of a secure testbed: one certificate, one user, one password."""

import base64
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from reviewstream_testbed.certificates import Authority, Certificate

USER = "testbed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """Credentials of one run; everything is in a folder for its owner alone.

    Attributes:
        certificates: PEM file for those who are to trust the servers.
        trust_store: The same for Java (JKS).
        server: What every server shows.
        username: Of everyone.
        password: Of everyone.
        api_key: For Elasticsearch, as its clients take it.
    """

    certificates: Path
    trust_store: Path
    server: Certificate
    username: str = USER
    password: str = field(repr=False)
    api_key: str = field(repr=False)

    @classmethod
    def new(cls, folder: Path) -> Self:
        """Make certificates and passwords."""
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
        """What may be in HTTP's header `Authorization`."""
        user = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return frozenset({f"Basic {user}", f"ApiKey {self.api_key}"})
