"""A jar is trusted only if it is the one that was locked."""

import hashlib
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream_testbed.installation.jars import (
    LOCK_FILE,
    ivy_jar,
    lines_of_all,
    maven_repository,
    read_lock,
    verify,
    write_lock,
)
from reviewstream_testbed.processes.children import CommandError
from reviewstream_testbed.testbed_error import TestbedError

MIRROR = """\
<settings xmlns="http://maven.apache.org/SETTINGS/1.2.0">
  <mirrors><mirror><id>m</id><url>https://maven.example/all</url><mirrorOf>{of}</mirrorOf></mirror>
  </mirrors>
</settings>
"""


@pytest.fixture
def jars(tmp_path: Path) -> Path:
    folder = tmp_path / "jars"
    (folder / "kafka").mkdir(parents=True)
    (folder / "kafka" / "a-1.jar").write_bytes(b"one")
    (folder / "kafka" / "b-2.jar").write_bytes(b"two")
    return folder


def test_what_was_locked_is_accepted(jars: Path) -> None:
    verify(jars, read_lock(write_lock(jars)))


def test_a_tampered_file_is_refused_and_named(jars: Path) -> None:
    lock = read_lock(write_lock(jars))
    (jars / "kafka" / "b-2.jar").write_bytes(b"twp")
    with pytest.raises(TestbedError, match=r"kafka/b-2\.jar: SHA-256 is .* the lock says"):
        verify(jars, lock)


def test_a_missing_file_is_refused_and_named(jars: Path) -> None:
    lock = read_lock(write_lock(jars))
    (jars / "kafka" / "a-1.jar").unlink()
    with pytest.raises(TestbedError, match=r"kafka/a-1\.jar: SHA-256 is of no file"):
        verify(jars, lock)


def test_a_file_that_nobody_locked_is_refused_and_named(jars: Path) -> None:
    lock = read_lock(write_lock(jars))
    (jars / "kafka" / "c-3.jar").touch()
    with pytest.raises(TestbedError, match=r"kafka/c-3\.jar: .* there is no such file"):
        verify(jars, lock)


@given(at=st.integers(0, 2), byte=st.integers(0, 255))
def test_any_changed_byte_is_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int
) -> None:
    folder = tmp_path_factory.mktemp("jars")
    changed = bytearray(b"one")
    changed[at] = byte
    (folder / "a.jar").write_bytes(changed)
    lock = {"a.jar": hashlib.sha256(b"one").hexdigest()}
    if changed == b"one":
        verify(folder, lock)
    else:
        with pytest.raises(TestbedError):
            verify(folder, lock)


def test_the_shipped_lock_names_every_part() -> None:
    lock = read_lock(LOCK_FILE.read_text())
    parts = {path.partition("/")[0] for path in lock}
    assert parts == {"compiler", "converter", "elasticsearch", "kafka", "registry"}
    assert all(len(digest) == 64 for digest in lock.values())


def test_pyspark_carries_the_downloader() -> None:
    assert ivy_jar().is_file()


@pytest.mark.parametrize("of", ["central", "*", "snapshots,central", "external:*"])
def test_a_mirror_of_central_in_mavens_settings_is_used(tmp_path: Path, of: str) -> None:
    write_settings(tmp_path, of)
    assert maven_repository({"HOME": str(tmp_path)}) == "https://maven.example/all"


def test_a_mirror_of_something_else_is_not(tmp_path: Path) -> None:
    write_settings(tmp_path, "snapshots")
    assert maven_repository({"HOME": str(tmp_path)}) is None


def test_our_own_variable_wins(tmp_path: Path) -> None:
    write_settings(tmp_path, "*")
    environ = {"HOME": str(tmp_path), "REVIEWSTREAM_MAVEN_REPOSITORY": "https://mine.example"}
    assert maven_repository(environ) == "https://mine.example"


def write_settings(home: Path, of: str) -> None:
    (home / ".m2").mkdir()
    (home / ".m2" / "settings.xml").write_text(MIRROR.format(of=of))


def test_commands_run_at_the_same_time_and_all_their_lines_come(tmp_path: Path) -> None:
    os.mkfifo(pipe := tmp_path / "pipe")  # who opens one end waits for the other
    reads = f"import sys; print(open({str(pipe)!r}).read(), file=sys.stderr)"
    writes = f"import sys; open({str(pipe)!r}, 'w').write('from the other'); print('wrote')"
    commands = [[sys.executable, "-c", program] for program in (reads, writes)]
    assert {line.strip() for line in lines_of_all(commands)} == {"from the other", "wrote"}


def test_the_failure_of_one_command_is_that_of_all() -> None:
    commands = [[sys.executable, "-c", program] for program in ("", "raise SystemExit('broken')")]
    with pytest.raises(CommandError, match="broken"):
        list(lines_of_all(commands))
