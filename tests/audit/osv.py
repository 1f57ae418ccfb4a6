"""OSV's query, answered from a folder: without a network, and twice the same.

The folder is a checkout of pypa/advisory-database. Only what `pip-audit` asks is understood.
Source: https://google.github.io/osv.dev/post-v1-query/ and OSV's schema.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, TypeAlias

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

Advisory: TypeAlias = dict[str, Any]
MODIFIED: Final = re.compile(r"^modified: [\"']?(\d{4}-\d\d-\d\d)", re.MULTILINE)


def server(folder: Path) -> ThreadingHTTPServer:
    """Return a server on loopback, on any free port."""

    @cache
    def known(package: str) -> list[Advisory]:
        return [*advisories(folder, package)]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            name, version = canonicalize_name(query["package"]["name"]), query["version"]
            found = [each for each in known(name) if concerns(each, name, version)]
            body = json.dumps({"vulns": found} if found else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def advisories(folder: Path, package: str) -> Iterator[Advisory]:
    """Yield what is known of a package."""
    for file in sorted((folder / "vulns" / package).glob("*.yaml")):
        yield yaml.load(file.read_text("utf-8"), yaml.BaseLoader)  # noqa: S506 - texts alone, no objects


def newest(folder: Path) -> str:
    """Return the day of the newest advisory: what came later is not known there."""
    texts = [file.read_text("utf-8") for file in (folder / "vulns").glob("*/*.yaml")]
    if not texts:
        raise SystemExit(f"no advisories in {folder}: give a checkout of pypa/advisory-database")
    return max(found[1] for text in texts if (found := MODIFIED.search(text)))


def concerns(advisory: Advisory, package: str, version: str) -> bool:
    """Say whether a version is affected, by the list of versions or by a range."""
    if advisory.get("withdrawn"):
        return False
    for affected in advisory["affected"]:
        if canonicalize_name(affected["package"]["name"]) == package:
            ranges = affected.get("ranges", ())
            if version in affected.get("versions", ()) or any(_holds(r, version) for r in ranges):
                return True
    return False


def _holds(span: dict[str, Any], version: str) -> bool:
    """Say whether a range holds a version: OSV's events, in the order of their versions."""
    if span["type"] != "ECOSYSTEM":
        return False
    inside = False
    for at, what in sorted(map(_event, span["events"])):
        if at > Version(version) or (what == "last_affected" and at == Version(version)):
            break
        inside = what == "introduced"
    return inside


def _event(event: dict[str, Any]) -> tuple[Version, str]:
    ((what, at),) = event.items()
    try:
        return Version(str(at)), what
    except InvalidVersion as err:
        raise ValueError(f"an advisory names no version: {event}") from err
