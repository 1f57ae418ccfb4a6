"""The list of the newest versions in memory, and in a file without a name."""

import tempfile
from pathlib import Path

import pytest

from reviewstream.adapters.sqlite.sqlite_versions import SqliteVersions
from reviewstream.app import open_versions
from reviewstream.errors import ConfigError
from reviewstream.testing import MemoryVersions
from tests.contract.newest_versions import NewestVersionsContract, OpenVersions, same, seen


class TestMemory(NewestVersionsContract):
    @pytest.fixture
    def versions(self) -> OpenVersions:
        return MemoryVersions


class TestSqlite(NewestVersionsContract):
    @pytest.fixture
    def versions(self) -> OpenVersions:
        return open_versions


def test_both_always_agree() -> None:
    same(MemoryVersions, open_versions)


def test_no_file_is_seen_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    book = SqliteVersions()
    book.see(seen(f"{n:064}", n) for n in range(1_000))
    assert list(tmp_path.iterdir()) == []
    assert tempfile.gettempdir() != str(tmp_path)
    book.close()


def test_a_list_that_cannot_be_kept_is_one_sentence() -> None:
    book = SqliteVersions()
    book.close()
    with pytest.raises(ConfigError, match="the list of the newest versions cannot be kept"):
        book.see([seen("a", 1)])
