import gzip
import io
import os
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from reviewstream.adapters.files.review_files import _ZstdFile, open_log
from reviewstream.adapters.files.review_log import ReviewLog
from reviewstream.errors import ConfigError

CONTENT = b"".join(b'{"review_id": "%d"}\n' % number for number in range(5000)) + b"last"


def tar(members: dict[str, bytes], *more: tuple[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:") as archive:
        for name, content in (*members.items(), *more):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def zst(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_content_size=False).compress(content)


KINDS = ["gzip", "zst", "plain"]  # gzip's own bytes tell the time: no two workers' ids would agree
YELP = {"Agreement.pdf": b"%PDF", "yelp/business.json": b"{}", "yelp/review.json": CONTENT}

packings = pytest.mark.parametrize(
    ("name", "packed", "member"),
    [
        ("review.json", CONTENT, None),
        ("review.jsonl", CONTENT, None),
        ("review.json.gz", gzip.compress(CONTENT), None),
        ("two.json.gz", gzip.compress(CONTENT[:100]) + gzip.compress(CONTENT[100:]), None),
        ("review.json.zst", zst(CONTENT), None),
        ("two.json.zst", zst(CONTENT[:100]) + zst(b"") + zst(CONTENT[100:]), None),
        ("yelp.tar", tar(YELP), "yelp/review.json"),
        ("yelp.tar", tar(YELP), "./yelp/review.json"),
        ("one.tar", tar({"README": b"read me", "review.json": CONTENT}), None),
        ("yelp.tar.gz", gzip.compress(tar(YELP)), "yelp/review.json"),
        (
            "gzipped-though-its-name-does-not-say-so.tar",
            gzip.compress(tar(YELP)),
            "yelp/review.json",
        ),
        ("one.tgz", gzip.compress(tar({"review.json": CONTENT})), None),
        ("yelp.tar.zst", zst(tar(YELP)), "yelp/review.json"),
    ],
)


def write(folder: Path, name: str, packed: bytes) -> Path:
    path = folder / name
    path.write_bytes(packed)
    return path


def content_of(log: ReviewLog) -> bytes:
    return log.read(0, log.head())


@packings
def test_every_packing_gives_the_same_bytes_offsets_and_fingerprint(
    tmp_path: Path, name: str, packed: bytes, member: str | None
) -> None:
    plain = write(tmp_path, "plain", CONTENT)
    with open_log(write(tmp_path, name, packed), member=member) as log, open_log(plain) as expected:
        assert content_of(log) == CONTENT
        assert log.fingerprint() == expected.fingerprint()
        assert log.lines_in(40, 90) == expected.lines_in(40, 90)


@pytest.mark.parametrize(
    ("name", "packed", "source"),
    [
        ("review.json", CONTENT, "review.json"),
        ("review.json.gz", gzip.compress(CONTENT), "review.json"),
        ("review.jsonl.zst", zst(CONTENT), "review.jsonl"),
        ("yelp.tar", tar({"yelp/review.json": CONTENT}), "review.json"),
        ("yelp.tgz", gzip.compress(tar({"yelp/review.json": CONTENT})), "review.json"),
        ("gzipped.json", gzip.compress(CONTENT), "gzipped.json"),
    ],
)
def test_the_source_is_named_for_what_was_packed_so_that_origins_stay_the_same(
    tmp_path: Path, name: str, packed: bytes, source: str
) -> None:
    path = write(tmp_path, name, packed)
    with open_log(path) as log:
        assert log.source == source
    with open_log(path, name="yelp") as log:
        assert log.source == "yelp"


def test_a_member_may_be_given_behind_a_colon(tmp_path: Path) -> None:
    path = write(tmp_path, "yelp.tar", tar(YELP))
    with open_log(f"{path}:yelp/review.json") as log:
        assert content_of(log) == CONTENT


@pytest.mark.parametrize("member", ["x.json", "./x.json", None])
@pytest.mark.parametrize("first", ["x.json", "./x.json"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zst])
def test_of_two_members_with_one_name_the_last_counts_as_for_tar(
    tmp_path: Path, pack: Callable[[bytes], bytes], first: str, member: str | None
) -> None:
    packed = pack(tar({first: b"old"}, ("x.json", CONTENT)))
    with open_log(write(tmp_path, "twice.tar", packed), member=member) as log:
        assert content_of(log) == CONTENT


def test_a_file_with_a_colon_in_its_name_is_itself(tmp_path: Path) -> None:
    write(tmp_path, "a", b"other\n")
    with open_log(write(tmp_path, "a:b", b"this\n")) as log:
        assert content_of(log) == b"this\n"


@pytest.mark.parametrize("packed", [gzip.compress(b"{}"), zst(b"{}"), b"{}"], ids=KINDS)
def test_a_tiny_file_is_served_whole(tmp_path: Path, packed: bytes) -> None:
    with open_log(write(tmp_path, "review.json", packed)) as log:
        assert content_of(log) == b"{}"


@pytest.mark.parametrize("packed", [gzip.compress(b""), zst(b""), b""], ids=KINDS)
def test_an_empty_file_is_an_empty_log(tmp_path: Path, packed: bytes) -> None:
    with open_log(write(tmp_path, "review.json", packed)) as log:
        assert log.head() == 0


def test_unpacking_tells_how_far_it_is(tmp_path: Path) -> None:
    packed = gzip.compress(os.urandom(3 << 20))
    told: list[tuple[int, int]] = []
    open_log(
        write(tmp_path, "review.json.gz", packed),
        progress=lambda done, total: told.append((done, total)),
    ).close()
    assert len(told) >= 3
    assert told == sorted(told)
    assert told[-1] == (len(packed), len(packed))


def test_little_that_unpacks_to_much_is_not_unpacked_at_once() -> None:
    whole = bytes(64 << 20)
    pieces = [len(piece) for piece in _ZstdFile._unpack(io.BytesIO(zst(whole)))]
    assert sum(pieces) == len(whole)
    assert max(pieces) <= 16 << 20


def test_unpacking_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spool))
    with open_log(write(tmp_path, "review.json.gz", gzip.compress(CONTENT))):
        assert list(spool.iterdir()) == []  # not even if the process were killed now


@pytest.mark.parametrize(
    ("name", "packed", "member", "complaint"),
    [
        ("a.gz", gzip.compress(CONTENT)[:-200], None, "a.gz is damaged .*fetch it again"),
        ("a.gz", gzip.compress(CONTENT)[:2000] + b"x" * 50, None, "a.gz is damaged"),
        ("a.gz", gzip.compress(CONTENT)[:-8] + b"x" * 8, None, "a.gz is damaged .*CRC"),
        ("a.gz", b"\x1f\x8b", None, "a.gz is damaged"),
        ("a.zst", zst(CONTENT)[:-9], None, "a.zst is damaged .*ends in the middle"),
        ("a.zst", zst(CONTENT)[:50] + b"x" * 500, None, "a.zst is damaged"),
        ("a.zst", zst(CONTENT) + b"garbage", None, "a.zst is damaged"),
        ("a.tgz", gzip.compress(tar(YELP))[:-300], "yelp/review.json", "a.tgz is damaged"),
        ("a.tar", tar(YELP)[:30_000], "yelp/review.json", "a.tar is damaged"),
        ("a.tar", tar(YELP), None, "more than one file.*--member NAME; it holds .*yelp/review.j"),
        ("a.tar", tar(YELP), "x.json", "no member 'x.json': choose with --member NAME; it holds"),
        ("a.tgz", gzip.compress(tar(YELP)), "x.json", "no member 'x.json': choose"),
        ("a.zip", b"PK\x03\x04..", None, "a.zip is packed with zip, .*unpack it"),
        ("a.json.bz2", b"BZh91AY", None, "a.json.bz2 is packed with bzip2, .*unpack it"),
        ("a.json", CONTENT, "x.json", "a.json is not a tar archive: leave out the member 'x.json'"),
        ("a.json.gz", gzip.compress(CONTENT), "x.json", "is not a tar archive: leave out"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_sentence(
    tmp_path: Path, name: str, packed: bytes, member: str | None, complaint: str
) -> None:
    path = write(tmp_path, name, packed)
    with pytest.raises(ConfigError, match=complaint) as raised:
        open_log(path, member=member)
    assert "\n" not in str(raised.value)


LATIN = os.fsdecode(b"caf\xe9.json")


@pytest.mark.parametrize(
    ("name", "packed"),
    [
        (LATIN, CONTENT),
        (f"{LATIN}.gz", gzip.compress(CONTENT)),
        ("a.tar", tar({LATIN: CONTENT})),
        ("a.tgz", gzip.compress(tar({LATIN: CONTENT}))),
    ],
    ids=["file", "packed", "member", "packed member"],
)
def test_a_name_that_no_record_can_hold_is_refused_until_there_is_another(
    tmp_path: Path, name: str, packed: bytes
) -> None:
    try:
        path = write(tmp_path, name, packed)
    except OSError:
        pytest.skip("no file has such a name here")
    with pytest.raises(ConfigError, match=r"the name 'caf\\udce9.json' is not UTF-8: .* --name"):
        open_log(path)
    with open_log(path, name="café.json") as log:
        assert (log.source, content_of(log)) == ("café.json", CONTENT)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path / "none.tar:review.json"):
        with pytest.raises(ConfigError, match=f"no such file: {path}; give the path"):
            open_log(path)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder: give the path"):
        open_log(tmp_path)


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="pipe is not a regular file"):
        open_log(tmp_path / "pipe")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "secret.json", CONTENT)
    path.chmod(0)
    with pytest.raises(ConfigError, match=r"cannot read .*secret.json .*permissions"):
        open_log(path)


@pytest.mark.parametrize("packed", [gzip.compress(CONTENT), tar({"review.json": CONTENT})])
def test_a_packed_file_cannot_be_followed(tmp_path: Path, packed: bytes) -> None:
    with pytest.raises(ConfigError, match="leave out --follow"):
        open_log(write(tmp_path, "packed", packed), follow=True)


def test_a_full_disk_is_said_with_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: full.open("wb"))
    with pytest.raises(ConfigError, match=r"cannot unpack into .*free some space, or set TMPDIR"):
        open_log(write(tmp_path, "review.json.gz", gzip.compress(CONTENT)))


def test_a_file_that_is_packed_twice_is_one_sentence(tmp_path: Path) -> None:
    (file := tmp_path / "review.json.gz").write_bytes(gzip.compress(gzip.compress(b"{}\n")))
    with pytest.raises(ConfigError, match="is packed twice: unpack it once"):
        open_log(file)
