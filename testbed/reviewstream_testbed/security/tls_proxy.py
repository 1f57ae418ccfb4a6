"""A small reverse proxy that adds TLS and a password to a server that has neither.

The upstream server listens on loopback without protection, so every user of this machine can
bypass the proxy. It tests clients; it protects nothing.
"""

import hmac
import http.client
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, Final

from reviewstream_testbed.processes.free_ports import LOOPBACK, free_ports
from reviewstream_testbed.security.credentials import Security

_PATIENCE: Final = 300.0  # seconds; the upstream server has its own timeouts
_POLL: Final = 0.1
_LINE: Final = 1 << 16  # bytes
_ONE_HOP: Final = frozenset(
    {"authorization", "connection", "content-length", "host", "keep-alive", "transfer-encoding"}
)


class TlsProxy:
    """A proxy that listens in threads of this process until it is closed.

    Args:
        target: Returns the port of the upstream server.
        security: Accepted credentials and the certificate.

    Attributes:
        port: Port of the proxy.
    """

    def __init__(self, target: Callable[[], int], security: Security) -> None:
        (self.port,) = free_ports(1)
        self._server = _Listener(self.port, target, security)
        Thread(target=self._server.serve_forever, args=[_POLL], daemon=True).start()

    def close(self) -> None:
        """Stop listening. A second call does nothing."""
        self._server.shutdown()
        self._server.server_close()


class _Listener(ThreadingHTTPServer):
    block_on_close = False

    def __init__(self, port: int, target: Callable[[], int], security: Security) -> None:
        self.target = target
        self._allowed = [each.encode() for each in security.authorizations]
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(security.server.chain, security.server.key)
        super().__init__((LOOPBACK, port), _Handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; the connection's thread makes the TLS handshake later."""
        client, address = super().get_request()
        secure = self._tls.wrap_socket(client, server_side=True, do_handshake_on_connect=False)
        return secure, address

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that reject the certificate or disconnect."""

    def lets_in(self, authorization: str) -> bool:
        """Report whether the header is one of the accepted ones, comparing in constant time."""
        given = authorization.encode()
        return any(hmac.compare_digest(given, each) for each in self._allowed)


class _Handler(BaseHTTPRequestHandler):
    server: _Listener
    protocol_version = "HTTP/1.1"

    def handle_one_request(self) -> None:
        """Handle one request of any method."""
        self.raw_requestline = self.rfile.readline(_LINE)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        body = self._body()
        if self.server.lets_in(self.headers.get("authorization", "")):
            self._forward(body)
        else:
            self._reply(401, {"WWW-Authenticate": 'Basic realm="testbed"'}, _REFUSED)

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline(_LINE).partition(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline(_LINE)
        self.rfile.readline(_LINE)
        return body

    def _forward(self, body: bytes) -> None:
        headers = {name: value for name, value in self.headers.items() if _travels(name)}
        port = self.server.target()
        try:
            with closing(http.client.HTTPConnection(LOOPBACK, port, timeout=_PATIENCE)) as behind:
                behind.request(self.command, self.path, body or None, headers)
                answer = behind.getresponse()
                data = answer.read()
        except (OSError, http.client.HTTPException):
            self._reply(502, {}, b'{"error_code": 502, "message": "nobody is behind the proxy"}')
            return
        self._reply(answer.status, dict(answer.getheaders()), data)

    def _reply(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        with suppress(ConnectionError):
            self.send_response_only(status)
            for name, value in headers.items():
                if _travels(name):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)


_REFUSED: Final = b'{"error_code": 401, "message": "wrong user or password"}'


def _travels(header: str) -> bool:
    return header.lower() not in _ONE_HOP
