"""The file of the ledger: what may be wrong with it, and what each process does with it."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from reviewstream.adapters.ledger_sqlite import SqliteLedger, default_file
from reviewstream.adapters.sqlite_file import APPLICATION
from reviewstream.errors import ConfigError, TransientError
from tests.contract.ledger_entries import entries, key_of

ELSEWHERE = r"name another file by ledger\.file \(REVIEWSTREAM_LEDGER__FILE\)"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite3"


@pytest.fixture
def ledger(file: Path) -> Iterator[SqliteLedger]:
    with closing(SqliteLedger(file, timeout=0.2)) as opened:
        yield opened


def test_nothing_is_made_before_it_is_needed(ledger: SqliteLedger, file: Path) -> None:
    ledger.close()
    assert not file.exists()


def test_the_default_is_in_the_users_state_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_file() == tmp_path / "reviewstream" / "ledger.sqlite3"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert str(default_file()) == "/home/somebody/.local/state/reviewstream/ledger.sqlite3"


def test_the_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    with closing(SqliteLedger(tmp_path / "a" / "b" / "ledger")) as ledger:
        ledger.record(entries(1))
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_a_file_of_something_else_is_left_alone(ledger: SqliteLedger, file: Path) -> None:
    file.write_bytes(b"my diary\n" * 100)
    with pytest.raises(ConfigError, match=f"not a database: move it away, or {ELSEWHERE}"):
        ledger.find([key_of(1)])
    assert file.read_bytes() == b"my diary\n" * 100


@pytest.mark.parametrize("mark", [0, 7])
def test_a_database_of_another_program_is_left_alone(
    ledger: SqliteLedger, file: Path, mark: int
) -> None:
    with closing(sqlite3.connect(file)) as other:
        other.execute(f"PRAGMA application_id = {mark}")
        other.execute("CREATE TABLE diary (day)")
    before = file.read_bytes()
    with pytest.raises(ConfigError, match=f"a database of another program: {ELSEWHERE}"):
        ledger.record(entries(1))
    assert file.read_bytes() == before


def test_an_empty_file_becomes_a_ledger(ledger: SqliteLedger, file: Path) -> None:
    file.touch()
    ledger.record(entries(1))
    assert ledger.find([key_of(1)]) == entries(1)


def test_a_ledger_of_a_newer_version_is_left_alone(ledger: SqliteLedger, file: Path) -> None:
    with closing(sqlite3.connect(file)) as newer:
        newer.execute(f"PRAGMA application_id = {APPLICATION}")
        newer.execute("PRAGMA user_version = 2")
    with pytest.raises(ConfigError, match=r"newer reviewstream \(version 2 .* 1\): upgrade, or"):
        ledger.find([key_of(1)])


def test_a_damaged_ledger_is_named(ledger: SqliteLedger, file: Path) -> None:
    ledger.record(entries(*range(2_000)))
    ledger.close()
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.seek(4096)
        opened.write(b"\xff" * (size - 4096))
    with pytest.raises(ConfigError, match=f"malformed: move it away, or {ELSEWHERE}"):
        ledger.find([key_of(n) for n in range(2_000)])


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with closing(SqliteLedger(tmp_path / "file" / "ledger")) as ledger:
        with pytest.raises(ConfigError, match=ELSEWHERE):
            ledger.find([key_of(1)])
    with closing(SqliteLedger(tmp_path)) as ledger:
        with pytest.raises(ConfigError, match="unable to open database file"):
            ledger.find([key_of(1)])


def test_a_full_disk_is_named_and_nothing_is_half_kept(ledger: SqliteLedger) -> None:
    ledger.record(entries(1))
    with ledger._file.reading() as connection:
        connection.execute("PRAGMA max_page_count = 3")
    with pytest.raises(ConfigError, match="database or disk is full"):
        ledger.record(entries(*range(1_000)))
    assert dict(ledger.entries()) == entries(1)


def test_a_file_that_others_keep_locked_is_a_failure_that_passes(
    ledger: SqliteLedger, file: Path
) -> None:
    ledger.record(entries(1))
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TransientError, match=r"kept it locked for 0\.2 s"):
            ledger.record(entries(2))
        assert ledger.find([key_of(1)]) == entries(1)  # readers need not wait
    ledger.record(entries(2))
    assert dict(ledger.entries()) == entries(1, 2)


def test_a_file_that_others_are_opening_is_waited_for(ledger: SqliteLedger, file: Path) -> None:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TransientError, match=r"kept it locked for 0\.2 s"):
            ledger.record(entries(1))
    ledger.record(entries(1))


@pytest.mark.parametrize("round_", range(12))  # one in six goes wrong where nobody waits
def test_many_processes_make_a_new_file_at_once(file: Path, round_: int) -> None:
    start, go = os.pipe()
    children = [_fork_to_record(file, number, start, go) for number in range(12)]
    os.close(start)
    os.close(go)  # now all of them read the end of the pipe
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 12, f"round {round_}"
    with closing(SqliteLedger(file)) as ledger:
        assert dict(ledger.entries()) == entries(*range(12))


def _fork_to_record(file: Path, number: int, start: int, go: int) -> int:
    child = os.fork()
    if child == 0:
        os.close(go)
        os.read(start, 1)
        status = 1
        with suppress(Exception), closing(SqliteLedger(file)) as ledger:
            ledger.record(entries(number))
            status = 0
        os._exit(status)
    return child


def test_an_open_ledger_survives_a_fork_in_both_processes(ledger: SqliteLedger) -> None:
    ledger.record(entries(1))
    assert ledger.claim([key_of(1)])
    before = ledger._file._connection
    child = os.fork()
    if child == 0:
        ledger.record(entries(2))
        good = ledger._file._connection is not before
        good &= ledger.find([key_of(1)]) == entries(1) and not ledger.claim([key_of(1)])
        ledger.release([key_of(1)])  # not the child's: it stays
        ledger.close()
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
    ledger.record(entries(3))
    assert dict(ledger.entries()) == entries(1, 2, 3)
    with closing(SqliteLedger(ledger._file._file)) as other:
        assert other.claim([key_of(1)]) == set()


def test_where_locks_are_a_whole_process_s_a_label_is_still_claimed_once(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(fcntl, "F_OFD_SETLK")
    assert ledger.claim([key_of(1)])
    assert not ledger.claim([key_of(1)])
    child = os.fork()
    if child == 0:
        os._exit(1 if ledger.claim([key_of(1)]) else 0)
    assert os.waitpid(child, 0)[1] == 0
    ledger.release([key_of(1)])
    assert ledger.claim([key_of(1)])
