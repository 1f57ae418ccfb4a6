"""An OAUTHBEARER token server with the two OpenID Connect responses that Kafka needs.

Source: RFC 6749 (client credentials), RFC 7515 to 7519 (JSON web tokens and keys).
"""

import base64
import hmac
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from reviewstream_testbed.processes.free_ports import LOOPBACK, free_ports
from reviewstream_testbed.security.credentials import Security

AUDIENCE: Final = "testbed"
NAME: Final = "testbed-issuer"
_KEY_ID: Final = "testbed"
_LIFE: Final = 3600  # seconds
_SIZE: Final = 32  # bytes of a P-256 coordinate
_POLL: Final = 0.1


class OidcServer:
    """A token server on loopback, without TLS; it runs in threads of this process until closed.

    Args:
        security: Credentials of the user who gets tokens.
        folder: Folder for the file of its public key.

    Attributes:
        url: Token endpoint for clients.
        keys: File of the JSON web key set that verifies the tokens.
    """

    def __init__(self, security: Security, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.keys = folder / "keys.json"
        self.keys.write_text(json.dumps({"keys": [self._public()]}))
        (port,) = free_ports(1)
        self.url = f"http://{LOOPBACK}:{port}/token"
        self._server = _Listener(port, self, security)
        Thread(target=self._server.serve_forever, args=[_POLL], daemon=True).start()

    def close(self) -> None:
        """Stop listening. A second call does nothing."""
        self._server.shutdown()
        self._server.server_close()

    def token(self, subject: str) -> str:
        """Return a signed token that is valid for one hour."""
        now = int(time.time())
        claims = {"iss": NAME, "sub": subject, "aud": AUDIENCE, "iat": now, "exp": now + _LIFE}
        head = {"alg": "ES256", "typ": "JWT", "kid": _KEY_ID}
        text = ".".join(_text(json.dumps(part).encode()) for part in (head, claims))
        signature = self._key.sign(text.encode(), ec.ECDSA(hashes.SHA256()))
        numbers = decode_dss_signature(signature)
        return f"{text}.{_text(b''.join(n.to_bytes(_SIZE, 'big') for n in numbers))}"

    def _public(self) -> dict[str, str]:
        point = self._key.public_key().public_numbers()
        x, y = (_text(number.to_bytes(_SIZE, "big")) for number in (point.x, point.y))
        names = {"kty": "EC", "crv": "P-256", "kid": _KEY_ID, "use": "sig", "alg": "ES256"}
        return {**names, "x": x, "y": y}


class _Listener(ThreadingHTTPServer):
    block_on_close = False

    def __init__(self, port: int, oidc_server: OidcServer, security: Security) -> None:
        self.oidc_server = oidc_server
        self.security = security
        super().__init__((LOOPBACK, port), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Listener

    def do_POST(self) -> None:
        """Return a token if the client sends the password."""
        self.rfile.read(int(self.headers.get("content-length", 0)))
        given = self.headers.get("authorization", "")
        user = f"{self.server.security.username}:{self.server.security.password}"
        wanted = f"Basic {base64.b64encode(user.encode()).decode()}"
        if not hmac.compare_digest(given.encode(), wanted.encode()):
            self._reply(401, {"error": "invalid_client"})
            return
        token = self.server.oidc_server.token(self.server.security.username)
        self._reply(200, {"access_token": token, "token_type": "Bearer", "expires_in": _LIFE})

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _reply(self, status: int, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
