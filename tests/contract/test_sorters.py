"""Rows in order: in memory, and in a file without a name."""

from pathlib import Path

import pytest

from reviewstream.adapters.sqlite.sqlite_sorter import SqliteSorter
from reviewstream.app import open_sorter as open_real
from reviewstream.errors import ConfigError
from reviewstream.testing import MemorySorter
from tests.contract.sorter import OpenSorter, SorterContract, sorts_as_python_does


class TestMemory(SorterContract):
    @pytest.fixture
    def open_sorter(self) -> OpenSorter:
        return MemorySorter


class TestSqlite(SorterContract):
    @pytest.fixture
    def open_sorter(self) -> OpenSorter:
        return open_real


def test_both_sort_as_python_does() -> None:
    sorts_as_python_does(MemorySorter)
    sorts_as_python_does(open_real)


def test_no_file_is_seen_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    sorter = SqliteSorter(2)
    sorter.add((n, "x" * 100) for n in range(100_000))  # more than its memory holds
    assert sum(1 for _ in sorter.rows()) == 100_000
    assert list(tmp_path.iterdir()) == []
    sorter.close()


def test_rows_that_cannot_be_kept_are_one_sentence() -> None:
    sorter = SqliteSorter(1)
    sorter.close()
    with pytest.raises(ConfigError, match=r"the list of what is to be sorted cannot be kept: "):
        sorter.add([(1,)])
