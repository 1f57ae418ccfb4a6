"""The file of the ledger: what may be wrong with it, and what each process does with it."""

import fcntl
import os
import resource
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from reviewstream.adapters.sqlite.shared_file import APPLICATION, SqliteFile
from reviewstream.adapters.sqlite.sqlite_ledger import AMPLE, ROOM, SqliteLedger, default_file
from reviewstream.errors import ConfigError, TransientError
from tests.contract.ledger_entries import entries, key_of

FILE_SETTING = r"name a file by ledger\.file \(REVIEWSTREAM_LEDGER__FILE\)"
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


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("sentiment", "MIXED"),
        ("sentiment", b"POSITIVE"),
        ("confidence", "x"),
        ("confidence", 1.01),
        ("confidence", -0.01),
        ("answered_by", b"\xff\xfe"),
        ("prompt_tokens", -1),
        ("completion_tokens", "many"),
        ("cost_micro_usd", -1),
        ("request_id", b"r"),
        ("labelled_at", "soon"),
        ("labelled_at", 9 * 10**18),
        ("labelled_at", 0.5),
    ],
)
def test_a_label_that_is_damaged_is_not_handed_on(
    ledger: SqliteLedger, file: Path, column: str, value: object
) -> None:
    ledger.record(entries(1))
    with closing(sqlite3.connect(file)) as damaging:
        damaging.execute(f"UPDATE labels SET {column} = ?", (value,))  # noqa: S608 - see above
        damaging.commit()
    said = rf"{file}: a label is damaged \(.+\): move it away, or {ELSEWHERE}"
    with pytest.raises(ConfigError, match=said):
        ledger.find([key_of(1)])
    with pytest.raises(ConfigError, match=said):
        list(ledger.entries())


def test_bytes_that_are_no_text_are_not_handed_on(ledger: SqliteLedger, file: Path) -> None:
    ledger.record(entries(1))
    with closing(sqlite3.connect(file)) as damaging:
        damaging.execute("UPDATE labels SET answered_by = CAST(x'fffe' AS TEXT)")
        damaging.commit()
    with pytest.raises(ConfigError, match=rf"{file}: .*answered_by.* {ELSEWHERE}"):
        ledger.find([key_of(1)])


@pytest.mark.parametrize("labels", [1, 50, 2_000])
@pytest.mark.parametrize("kept", [100, 4_096, 5_000, -4_097, -4_096, -20, -1])
def test_a_ledger_that_was_cut_short_is_noticed(
    ledger: SqliteLedger, file: Path, labels: int, kept: int
) -> None:
    ledger.record(entries(*range(labels)))
    ledger.close()
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(
        ConfigError, match=f"(malformed|was cut short): move it away, or {ELSEWHERE}"
    ):
        ledger.find([key_of(0)])


def test_half_a_page_that_is_whole_in_the_log_is_no_damage(
    ledger: SqliteLedger, file: Path, tmp_path: Path
) -> None:
    ledger.record(entries(*range(50)))  # as yet it is in the log alone
    copy = tmp_path / "copy"
    copy.with_name("copy-wal").write_bytes(file.with_name(f"{file.name}-wal").read_bytes())
    copy.write_bytes(file.read_bytes() + b"half a page, of a writer that was killed")
    with closing(SqliteLedger(copy)) as other:
        assert dict(other.entries()) == entries(*range(50))


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere() -> Path:
        raise RuntimeError

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    with pytest.raises(ConfigError, match=f"the user has no home folder; {FILE_SETTING}"):
        default_file()


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


def test_a_file_that_cannot_grow_is_proven_to_be_of_no_use(ledger: SqliteLedger) -> None:
    ledger.record(entries(1))
    with ledger._file.reading() as connection:
        connection.execute("PRAGMA max_page_count = 60")
    for _ in range(2):
        with pytest.raises(ConfigError, match=f"database or disk is full: {ELSEWHERE}"):
            ledger.prove()
    assert dict(ledger.entries()) == entries(1)
    with ledger._file.reading() as connection:
        connection.execute("PRAGMA max_page_count = 600")
    ledger.prove()


def test_what_was_proven_is_free_room_in_the_file(ledger: SqliteLedger, file: Path) -> None:
    ledger.prove()
    assert file.stat().st_size >= ROOM
    with ledger._file.reading() as connection:
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        (page,) = connection.execute("PRAGMA page_size").fetchone()
    assert free * page >= ROOM


def test_a_process_proves_a_file_once_until_a_write_fails_or_the_disk_has_little_room(
    ledger: SqliteLedger, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proofs: list[int] = []
    monkeypatch.setattr(SqliteFile, "prove", lambda _, room: proofs.append(room))
    ledger.record(entries(1))
    for _ in range(3):
        ledger.prove()
        with closing(SqliteLedger(file)) as other:
            other.prove()
    assert proofs == [ROOM]
    with ledger._file.reading() as connection:
        connection.execute("PRAGMA max_page_count = 3")
    with pytest.raises(ConfigError, match="full"):
        ledger.record(entries(*range(1_000)))
    ledger.prove()
    assert proofs == [ROOM] * 2
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=AMPLE - 1))
    ledger.prove()
    assert proofs == [ROOM] * 3


def test_a_file_that_others_write_to_is_proven_later(ledger: SqliteLedger, file: Path) -> None:
    ledger.record(entries(1))
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(TransientError, match=r"kept it locked for 0\.2 s"):
            ledger.prove()
    ledger.prove()


def test_what_is_bought_after_a_proof_is_kept_though_there_is_no_more_room_by_then(
    file: Path,
) -> None:
    child = os.fork()
    if child == 0:
        status = 1
        with suppress(Exception):
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
            status = 0 if _bought_until_refused(file) > 1_000 else 2
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with closing(SqliteLedger(file)) as ledger:
        found = dict(ledger.entries())
    assert found == entries(*range(len(found)))


def _bought_until_refused(file: Path) -> int:
    """Start again and again, as somebody does that restarts what ends, until nothing is bought."""
    bought = 0
    for _ in range(100):
        with closing(SqliteLedger(file)) as ledger:
            try:
                ledger.prove()
            except ConfigError:
                return bought
            for _ in range(16):  # packs in flight; they are paid for
                ledger.record(entries(*range(bought, bought + 20)))
                bought += 20
    raise AssertionError


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
