"""A folder of advisories answers as OSV does."""

import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.audit.osv import concerns, newest, server

ADVISORY = """\
id: PYSEC-2023-212
modified: "2023-10-25T18:28:34.811764Z"
published: 2023-10-17T20:15:00Z
affected:
- package: {ecosystem: PyPI, name: Parcels}
  ranges:
  - type: GIT
    events: [{introduced: "0"}]
  - type: ECOSYSTEM
    events: [{introduced: 2.0.0}, {fixed: 2.0.7}, {introduced: "0"}, {fixed: 1.26.18}]
  versions: ["3.10"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "vulns" / "parcels").mkdir(parents=True)
    (tmp_path / "vulns" / "parcels" / "PYSEC-2023-212.yaml").write_text(ADVISORY)
    return tmp_path


@pytest.fixture
def port(folder: Path) -> Iterator[int]:
    with server(folder) as osv:
        threading.Thread(target=osv.serve_forever, daemon=True).start()
        yield int(osv.server_address[1])
        osv.shutdown()


def ask(port: int, name: str, version: str) -> list[str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    query = {"package": {"name": name, "ecosystem": "PyPI"}, "version": version}
    connection.request("POST", "/v1/query", json.dumps(query))
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return [each["id"] for each in answer.get("vulns", [])]


@pytest.mark.parametrize("version", ["0.1", "1.26.17", "2.0.0", "2.0.6", "2.0.6.post1", "3.10"])
def test_an_affected_version_is_named(port: int, version: str) -> None:
    assert ask(port, "parcels", version) == ["PYSEC-2023-212"]


@pytest.mark.parametrize("version", ["1.26.18", "1.27", "2.0.7", "3.1", "4"])
def test_a_mended_version_is_not(port: int, version: str) -> None:
    assert ask(port, "parcels", version) == []


def test_a_package_that_nobody_wrote_of_is_not(port: int) -> None:
    assert ask(port, "sparcels", "0.1") == []


@pytest.mark.parametrize(("version", "is_affected"), [("1.9", True), ("2", True), ("2.1", False)])
def test_the_last_version_affected_is_affected(*, version: str, is_affected: bool) -> None:
    span = {"type": "ECOSYSTEM", "events": [{"introduced": "1"}, {"last_affected": "2"}]}
    advisory: dict[str, Any] = {"affected": [{"package": {"name": "p"}, "ranges": [span]}]}
    assert concerns(advisory, "p", version) is is_affected
    assert not concerns(advisory | {"withdrawn": "2024-01-01T00:00:00Z"}, "p", version)


def test_it_says_how_old_what_it_knows_is(folder: Path, tmp_path: Path) -> None:
    assert newest(folder) == "2023-10-25"
    with pytest.raises(SystemExit, match="no advisories in"):
        newest(tmp_path / "elsewhere")
