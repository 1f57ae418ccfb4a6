"""A server on a loopback port that answers as it is told, and remembers what it was asked."""

import json
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, Any]


@dataclass(repr=False)
class Canned:
    """Answers by "METHOD /path"; a list is used up, its last entry stays.

    Attributes:
        requests: (method and path, headers by their names in lower case, body) of each request.
    """

    answers: dict[str, Answer | list[Answer]]
    headers: Mapping[str, str] = field(default_factory=dict)
    requests: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    def __repr__(self) -> str:
        return f"Canned({self.url})"

    def answer(self, asked: str) -> Answer:
        found = self.answers.get(asked, (404, {"error_code": 40401, "message": "no such thing"}))
        if isinstance(found, list):
            return found.pop(0) if len(found) > 1 else found[0]
        return found


def _encoded(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that is gone: what is said gets into the output of a test."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def canned(
    answers: dict[str, Answer | list[Answer]], headers: Mapping[str, str] | None = None
) -> Iterator[Canned]:
    """Serve until the block ends."""
    told = Canned(answers, headers or {})

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            size = int(self.headers.get("content-length", 0))
            asked = f"{self.command} {self.path.partition('?')[0]}"
            headers = {name.lower(): value for name, value in self.headers.items()}
            told.requests.append((asked, headers, self.rfile.read(size)))
            status, body = told.answer(asked)
            data = body if isinstance(body, bytes) else _encoded(body)
            self.send_response(status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            if "content-type" not in told.headers:
                kind = "text/html" if isinstance(body, str) else "application/json"
                self.send_header("content-type", kind)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with _Server(("127.0.0.1", 0), Handler) as server:
        told.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield told
        finally:
            server.shutdown()
            thread.join()
